import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { VerifiedSvid } from '#identity/svid.ts';
import type { RecordCode } from '../codes.ts';
import { payloadDigest } from '../digest.ts';
import type { RecordKind } from '../record.ts';
import { audienceIncludes } from './audience.ts';
import { type BatchCache, isInBatch } from './batch.ts';
import type { ParsedRecord } from './parse.ts';
import type { ReplayCache } from './replay.ts';
import type { SequenceTracker } from './sequence.ts';
import { isP256, verifyEs256 } from './signature.ts';

/** How far two clocks of the swarm may differ. */
export const SKEW_SECONDS = 5;
/** Fixed, or a byte could be moved between salt and payload under the same digest. */
export const SALT_BYTES = 16;

/** What the receiver knows by itself. A check whose fact is absent is not made. */
export interface RecordFacts {
  readonly svid: VerifiedSvid;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly isRevoked?: (svid: VerifiedSvid) => boolean;
  /** Has a pinned attester stated that this certificate was issued to that identity? */
  readonly isLogged?: (svid: VerifiedSvid) => boolean;
  /** When this process began to receive, milliseconds: it remembers nothing from before. */
  readonly receiverStart?: number;
  readonly self?: SpiffeId;
  /** The subject on which the message arrived. */
  readonly subject?: string;
  /** The reply subject of the message; `null` when it has none. */
  readonly reply?: string | null;
  readonly payload?: Uint8Array;
  /** 16 bytes; goes with `payload`. */
  readonly salt?: Uint8Array;
  readonly mayMake?: (sender: SpiffeId, kind: RecordKind) => boolean;
  readonly replays?: ReplayCache;
  readonly sequences?: SequenceTracker;
  /** Without it, the signature of a batch is verified again for each of its records. */
  readonly batches?: BatchCache;
}

export interface CheckedRecord extends ParsedRecord {
  readonly svid: VerifiedSvid;
  /** Missed records before this one; 0 without a sequence tracker. */
  readonly gap: number;
  /** True when nothing of the sender's session had been seen before. */
  readonly first: boolean;
}

type Verdict = Outcome<void, RecordCode>;
const PASSED: Verdict = accept(undefined);

/** Judges a record at its first receipt, cheap checks first, in the order written here. */
export function checkRecord(
  record: ParsedRecord,
  facts: RecordFacts,
): Outcome<CheckedRecord, RecordCode> {
  const refused = firstRefusal(
    () => checkNotRevoked(facts),
    () => checkLogged(facts),
    () => checkSignature(record, facts.svid, facts.batches),
    () => checkSvidTime(facts.svid, facts.now / 1000),
    () => checkFreshness(record, facts.now, facts.receiverStart),
    () => checkAudience(record, facts.self),
    () => checkSubjects(record, facts),
    () => checkPayload(record, facts),
    () => checkKind(record, facts),
    () => facts.replays?.admit(record.claims) ?? PASSED,
  );
  if (refused !== undefined) return refused;
  const step = facts.sequences?.advance(record.claims);
  if (step !== undefined && !step.ok) return step;
  return accept({
    ...record,
    svid: facts.svid,
    gap: step?.value.gap ?? 0,
    first: step?.value.first ?? false,
  });
}

function firstRefusal(...checks: readonly (() => Verdict)[]) {
  for (const check of checks) {
    const verdict = check();
    if (!verdict.ok) return verdict;
  }
  return undefined;
}

function checkNotRevoked({ svid, isRevoked }: RecordFacts): Verdict {
  if (isRevoked?.(svid)) return refuse('RECORD_SVID_REVOKED', `${svid.id} has been revoked`);
  return PASSED;
}

/**
 * Before the signature: whoever has the authority's key signs for anybody, so that a signature under
 * a certificate that is not logged names nobody.
 */
function checkLogged({ svid, isLogged }: RecordFacts): Verdict {
  if (isLogged === undefined || isLogged(svid)) return PASSED;
  return refuse('RECORD_SVID_NOT_LOGGED', `a certificate of ${svid.id} is not stated as issued`);
}

/**
 * Certificate named, key of the right type, signature, and the signer is the claimed sender.
 * `isProven`: whether a JWS is known to be signed with the P-256 key of the certificate it names.
 */
export function checkSignature(
  record: ParsedRecord,
  svid: VerifiedSvid,
  batches?: BatchCache,
  isProven?: (jws: string) => boolean,
): Verdict {
  if (record.thumbprint !== svid.thumbprint) {
    return refuse('RECORD_CHAIN_MISMATCH', 'x5t#S256 names another certificate');
  }
  const { batch, thumbprint, signature } = record;
  const inclusion = batch && batches?.find(batch.jws)?.inclusion;
  if (batch !== undefined && !isInBatch(record.signingInput, batch, inclusion)) {
    return refuse('RECORD_SIGNATURE_INVALID', 'the signed batch does not hold this record');
  }
  // What a batch was signed with is not looked up again: reading a key costs as much as a path.
  const known = (batch && batches?.has(batch.jws)) || isProven?.((batch ?? record).jws);
  const refused = known ? PASSED : checkKey(record, svid);
  if (!refused.ok) return refused;
  if (batch !== undefined) batches?.add(batch.jws, { batch, thumbprint, signature });
  if (record.claims.iss !== svid.id) {
    return refuse(
      'RECORD_ISSUER_MISMATCH',
      `signed by ${svid.id}, which is not the claimed sender`,
    );
  }
  return PASSED;
}

function checkKey({ batch, signingInput, signature }: ParsedRecord, svid: VerifiedSvid): Verdict {
  const key = svid.leaf.publicKey;
  if (!isP256(key)) return refuse('RECORD_KEY_INVALID', 'the certificate has no P-256 key');
  if (verifyEs256(key, batch?.signingInput ?? signingInput, signature)) return PASSED;
  return refuse('RECORD_SIGNATURE_INVALID', 'the signature does not verify');
}

/** Is the SVID valid at that second? `at` is now at a door, `iat` in the ledger and offline. */
export function checkSvidTime(svid: VerifiedSvid, at: number): Verdict {
  const from = svid.notBefore.getTime() / 1000 - SKEW_SECONDS;
  const until = svid.notAfter.getTime() / 1000 + SKEW_SECONDS;
  if (at >= from && at <= until) return PASSED;
  return refuse(
    'RECORD_SVID_NOT_VALID',
    `the SVID is valid from ${svid.notBefore.toISOString()} to ${svid.notAfter.toISOString()}`,
  );
}

export function checkFreshness({ claims }: ParsedRecord, now: number, start?: number): Verdict {
  if (claims.iat * 1000 > now + SKEW_SECONDS * 1000) {
    return refuse('RECORD_FROM_FUTURE', 'iat lies in the future');
  }
  if (claims.exp * 1000 <= now) return refuse('RECORD_EXPIRED', 'exp has passed');
  // The replay cache died with the former process; the second of the start is in doubt as well.
  if (start !== undefined && claims.iat * 1000 < start) {
    return refuse('RECORD_BEFORE_START', 'issued before this receiver started');
  }
  return PASSED;
}

function checkAudience({ claims }: ParsedRecord, self?: SpiffeId): Verdict {
  if (self === undefined || audienceIncludes(claims.aud, self)) return PASSED;
  return refuse('RECORD_AUDIENCE_MISMATCH', 'addressed to somebody else');
}

function checkSubjects({ claims }: ParsedRecord, { subject, reply }: RecordFacts): Verdict {
  if (subject !== undefined && claims.sbj !== subject) {
    return refuse('RECORD_SUBJECT_MISMATCH', 'signed for another subject');
  }
  if (reply !== undefined && (claims.rpl ?? null) !== reply) {
    return refuse('RECORD_REPLY_MISMATCH', 'signed for another reply subject');
  }
  return PASSED;
}

export function checkPayload(
  { claims }: ParsedRecord,
  { payload, salt }: { readonly payload?: Uint8Array; readonly salt?: Uint8Array },
): Verdict {
  if (payload === undefined) return PASSED;
  if (salt?.length === SALT_BYTES && payloadDigest(salt, payload) === claims.pdg) return PASSED;
  return refuse('RECORD_PAYLOAD_MISMATCH', 'the payload is not the one that was signed');
}

function checkKind({ claims }: ParsedRecord, { mayMake }: RecordFacts): Verdict {
  if (mayMake === undefined || mayMake(claims.iss, claims.knd)) return PASSED;
  return refuse('RECORD_KIND_NOT_ALLOWED', `${claims.iss} may not make ${claims.knd} records`);
}
