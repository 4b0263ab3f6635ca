import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { is128Bits, is256Bits } from '../base64url.ts';
import type { RecordCode } from '../codes.ts';
import { RECORD_KINDS, type RecordClaims, type RecordKind } from '../record.ts';
import { isAudienceList, isWorkloadId } from './audience.ts';

/** A record lives this long after `iat`; the replay cache needs to remember no longer. */
export const RECORD_LIFETIME_SECONDS = 30;
/** More causes than this are gathered by `join` records. */
export const MAX_PARENTS = 16;
const MAX_SUBJECT = 255;

/** A NATS subject without wildcards. */
const SUBJECT = /^[A-Za-z0-9_$-]+(?:\.[A-Za-z0-9_$-]+)*$/;
const VISIBLE = /^[!-~]{1,128}$/;
const KINDS: ReadonlySet<unknown> = new Set(RECORD_KINDS);

type Check = (value: unknown) => boolean;

const isCounter: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 1;
const isTime: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isSubject: Check = (value) =>
  typeof value === 'string' && value.length <= MAX_SUBJECT && SUBJECT.test(value);
const isVisible: Check = (value) => typeof value === 'string' && VISIBLE.test(value);

function isListOf(item: Check, least: number, most: number): Check {
  return (value) =>
    Array.isArray(value) &&
    value.length >= least &&
    value.length <= most &&
    value.every(item) &&
    new Set(value).size === value.length;
}

const isTool: Check = (value) => {
  if (typeof value !== 'object' || value === null) return false;
  const tool = value as Record<string, unknown>;
  return (
    Object.keys(tool).length === 4 &&
    isVisible(tool.kind) &&
    isVisible(tool.model) &&
    isVisible(tool.rid) &&
    tool.signed === false
  );
};

const REQUIRED: Readonly<Record<string, Check>> = {
  iss: (value) => typeof value === 'string' && isWorkloadId(value),
  aud: isAudienceList,
  sbj: isSubject,
  knd: (value) => KINDS.has(value),
  jti: is128Bits,
  iat: isTime,
  exp: isTime,
  sid: is128Bits,
  seq: isCounter,
  rsq: isCounter,
  par: isListOf(is256Bits, 0, MAX_PARENTS),
  pdg: is256Bits,
};
const OPTIONAL: Readonly<Record<string, Check>> = {
  rpl: isSubject,
  prv: is256Bits,
  txn: isVisible,
  tth: is256Bits,
  tool: isTool,
};
const CHECKS = new Map(Object.entries({ ...REQUIRED, ...OPTIONAL }));
const REQUIRED_NAMES = Object.keys(REQUIRED);

/**
 * Parses claims by hand. Unknown claims are refused: a claim that one side reads and the other
 * ignores is how two readers come to disagree about one signed text.
 */
export function parseClaims(value: unknown): Outcome<RecordClaims, RecordCode> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse('RECORD_CLAIM_INVALID', 'the claims are not an object');
  }
  const claims = value as Record<string, unknown>;
  if (Array.isArray(claims.par) && claims.par.length > MAX_PARENTS) {
    return refuse(
      'RECORD_PARENTS_TOO_MANY',
      `par has ${claims.par.length} ids, at most ${MAX_PARENTS}`,
    );
  }
  for (const name of Object.keys(claims)) {
    const check = CHECKS.get(name);
    if (check === undefined) return refuse('RECORD_CLAIM_UNKNOWN', 'a claim is not known');
    if (!check(claims[name])) {
      return refuse('RECORD_CLAIM_INVALID', `the claim ${name} has the wrong type or form`);
    }
  }
  for (const name of REQUIRED_NAMES) {
    if (!Object.hasOwn(claims, name)) {
      return refuse('RECORD_CLAIM_MISSING', `the claim ${name} is absent`);
    }
  }
  return checkShape(value as RecordClaims);
}

/** Kinds that make somebody do something: they name the one who is to do it. */
const FOR_ONE: ReadonlySet<RecordKind> = new Set(['act', 'tool.call']);
const CAUSED: ReadonlySet<RecordKind> = new Set(['act', 'tool.result', 'join']);

/** What the claims must be to each other. */
function checkShape(claims: RecordClaims): Outcome<RecordClaims, RecordCode> {
  const wrong = (detail: string) => refuse('RECORD_KIND_SHAPE' as const, detail);
  if (claims.exp !== claims.iat + RECORD_LIFETIME_SECONDS) {
    return refuse('RECORD_CLAIM_INVALID', `exp is not iat + ${RECORD_LIFETIME_SECONDS}`);
  }
  if ((claims.seq === 1) !== (claims.prv === undefined)) {
    return refuse('RECORD_CLAIM_INVALID', 'prv is absent on the first record of a session only');
  }
  if (claims.rsq > claims.seq) {
    return refuse('RECORD_CLAIM_INVALID', 'rsq cannot exceed seq');
  }
  const one = claims.aud.length === 1 && isWorkloadId(claims.aud[0] ?? '');
  if (!one && (FOR_ONE.has(claims.knd) || claims.rpl !== undefined)) {
    return wrong('a request or an act is addressed to exactly one SPIFFE ID');
  }
  if (claims.knd === 'root' && claims.par.length > 0) return wrong('a root has no cause');
  if (CAUSED.has(claims.knd) && claims.par.length === 0) {
    return wrong(`a record of kind ${claims.knd} names its cause`);
  }
  // The ledger accepts one act per cause and tool, also where the payload is withheld.
  if (claims.knd === 'act' && claims.tool === undefined) {
    return wrong('an act names its tool: tool.model is the tool that acts');
  }
  return accept(claims);
}
