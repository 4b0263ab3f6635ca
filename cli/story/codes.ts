import { DOOR_CODES, GATE_CODES } from '#bus/codes.ts';
import { CUSTODY_CODES, type RefusalKind } from '#custody/codes.ts';
import { PEER_CODES, SVID_CODES } from '#identity/codes.ts';
import { ISSUER_CODES } from '#identity/issuer/codes.ts';
import { POLICY_CODES } from '#policy/codes.ts';
import { SERVICE_CODES } from '#services/codes.ts';
import { BROKER_CODES, WIRING_CODES } from '../codes.ts';

/** What gave a code: the place where something was refused. */
export type Place = 'ledger' | 'broker' | 'gate' | 'workload-api' | 'door' | 'policy' | 'service';

export interface CodeMeaning {
  readonly place: Place;
  readonly meaning: string;
  /** Absent where a table does not tell kinds apart. */
  readonly kind?: RefusalKind;
}

export const KIND_MEANINGS: Readonly<Record<RefusalKind, string>> = {
  'not-authentic': 'it does not prove what it says',
  'not-allowed': 'genuine, but not to be done',
  unavailable: 'could not be judged then',
};

type Entry = string | { readonly kind: RefusalKind; readonly meaning: string };

/** The tables of every layer; a code stands in one of them. */
const TABLES: readonly (readonly [Place, Readonly<Record<string, Entry>>])[] = [
  ['gate', GATE_CODES],
  ['broker', BROKER_CODES],
  ['door', DOOR_CODES],
  ['ledger', CUSTODY_CODES],
  ['workload-api', ISSUER_CODES],
  ['gate', SVID_CODES],
  ['gate', PEER_CODES],
  ['service', SERVICE_CODES],
  ['service', WIRING_CODES],
];

/** The meaning of a code in its layer's table; `undefined` when no table has it. */
export function meaningOf(code: string): CodeMeaning | undefined {
  const check = Object.entries(POLICY_CODES).find(([, given]) => given === code)?.[0];
  if (check !== undefined)
    return { place: 'policy', meaning: `The check ${check} was not proven.` };
  for (const [place, table] of TABLES) {
    if (!Object.hasOwn(table, code)) continue;
    const entry = table[code];
    if (typeof entry === 'string') return { place, meaning: entry };
    if (entry !== undefined) return { place, meaning: entry.meaning, kind: entry.kind };
  }
  return undefined;
}
