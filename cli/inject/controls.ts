import type { ControlLetter } from '#scenarios/scenario.ts';
import { meaningOf } from '../story/codes.ts';
import { CONTROLS } from '../wiring/controls.ts';

const TITLES: Readonly<Record<ControlLetter, string>> = {
  At: 'attestation',
  T: 'mTLS and the gate',
  B: CONTROLS.B.title,
  S: CONTROLS.S.title,
  F: 'freshness',
  P: CONTROLS.P.title,
  U: 'budgets',
  L: 'ledger',
  R: 'revocation',
};

/** Codes whose control is not that of the place that gives them. */
const BY_CODE: Readonly<Record<string, ControlLetter>> = {
  RECORD_EXPIRED: 'F',
  RECORD_FROM_FUTURE: 'F',
  RECORD_BEFORE_START: 'F',
  RECORD_REPLAYED: 'F',
  RECORD_SEQUENCE_REGRESSED: 'F',
  RECORD_REPLAY_CACHE_FULL: 'F',
  BUDGET_EXCEEDED: 'U',
  GATE_SVID_REVOKED: 'R',
  RECORD_SVID_REVOKED: 'R',
  GATE_SVID_NOT_LOGGED: 'L',
  RECORD_SVID_NOT_LOGGED: 'L',
};

/** Which control refuses with a code: the letter of the tables, and the control's name. */
export function controlOf(code: string): {
  readonly letter: ControlLetter | undefined;
  readonly title: string;
} {
  const letter = BY_CODE[code] ?? letterOf(code);
  return { letter, title: letter === undefined ? 'an unknown control' : TITLES[letter] };
}

function letterOf(code: string): ControlLetter | undefined {
  const place = meaningOf(code)?.place;
  switch (place) {
    case 'policy':
      return 'P';
    case 'broker':
      return 'B';
    case 'gate':
      return 'T';
    case 'door':
      return 'S';
    case 'ledger':
      return 'L';
    case 'workload-api':
      return 'At';
    case 'service':
    case undefined:
      return undefined;
    default:
      return place satisfies never;
  }
}
