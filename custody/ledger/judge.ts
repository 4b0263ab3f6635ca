import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { VerifiedSvid } from '#identity/svid.ts';
import { parseAck } from '../ack.ts';
import type { LedgerCode } from '../codes.ts';
import { checkParent } from '../parents.ts';
import type { BatchCache } from '../record/batch.ts';
import {
  checkPayload,
  checkSignature,
  checkSvidTime,
  SALT_BYTES,
  SKEW_SECONDS,
} from '../record/check.ts';
import type { ParsedRecord } from '../record/parse.ts';
import { actKeys, type Book } from './book.ts';
import type { LedgerOptions, Submission } from './ledger.ts';

export interface Case {
  readonly submission: Submission;
  readonly record: ParsedRecord;
  readonly svid: VerifiedSvid;
  readonly book: Book;
  readonly options: LedgerOptions;
  /** Batches whose signature has verified: one check for all their records. */
  readonly batches: BatchCache;
}

type Verdict = Outcome<void, LedgerCode>;
const PASSED: Verdict = accept(undefined);
/** Larger payloads are withheld: their digest is in the record. */
const MAX_PAYLOAD_BYTES = 262_144;

/**
 * Whether a submitted record may be appended. Not judged here: freshness, which the receiver
 * judged; a queue may bring a record to the ledger late. The entry says when it came.
 */
export function judgeRecord(subject: Case): Verdict {
  const { submission, record, svid, options } = subject;
  const { claims } = record;
  const authentic = firstRefusal(
    () => checkIssued(subject),
    () => checkSignature(record, svid, subject.batches),
    () => checkSvidTime(svid, claims.iat),
    () => checkNotFuture(claims.iat, options.clock()),
    () => checkSubmitter(subject),
    () => checkCarriedPayload(submission, record),
  );
  if (authentic !== undefined) return authentic;
  if (options.mayMake?.(claims.iss, claims.knd) === false) {
    return refuse('RECORD_KIND_NOT_ALLOWED', `${claims.iss} may not make ${claims.knd} records`);
  }
  return claims.knd === 'act' ? checkAct(subject) : PASSED;
}

function firstRefusal(...checks: readonly (() => Verdict)[]) {
  for (const check of checks) {
    const verdict = check();
    if (!verdict.ok) return verdict;
  }
  return undefined;
}

/** A certificate that nobody entered as issued may be one of a thief of the authority's key. */
function checkIssued({ svid, book, options }: Case): Verdict {
  if (options.admits === undefined) return PASSED;
  const standing = book.certificates.judge(svid);
  if (standing === 'standing') return PASSED;
  return standing === 'revoked'
    ? refuse('RECORD_SVID_REVOKED', `the certificate of ${svid.id} is revoked`)
    : refuse('RECORD_SVID_NOT_LOGGED', `a certificate of ${svid.id} is not entered as issued`);
}

function checkNotFuture(iat: number, now: number): Verdict {
  if (iat * 1000 <= now + SKEW_SECONDS * 1000) return PASSED;
  return refuse('RECORD_FROM_FUTURE', 'iat lies in the future');
}

/** Nobody enters another's record: that would let an eavesdropper write history in its name. */
function checkSubmitter({ submission, record, options }: Case): Verdict {
  const { iss, sbj } = record.claims;
  if (submission.submittedBy !== iss) {
    return refuse('LEDGER_NOT_OWN_RECORD', `${submission.submittedBy} submitted another's record`);
  }
  if (options.senderOf !== undefined && options.senderOf(sbj) !== iss) {
    return refuse('LEDGER_SUBJECT_NOT_SENDERS', 'the signed subject names another sender');
  }
  return PASSED;
}

function checkCarriedPayload(submission: Submission, record: ParsedRecord): Verdict {
  const { payload, salt } = submission;
  // Also where the payload is withheld: what is stored must be readable at the next start.
  if (salt.length !== SALT_BYTES) return refuse('RECORD_SALT_INVALID', 'the salt is not 16 bytes');
  if (payload === undefined) return PASSED;
  if (payload.length > MAX_PAYLOAD_BYTES) {
    return refuse(
      'RECORD_TOO_LARGE',
      `a payload has at most ${MAX_PAYLOAD_BYTES} bytes, or is withheld`,
    );
  }
  const signed = checkPayload(record, { payload, salt });
  if (!signed.ok) return signed;
  if (record.claims.knd !== 'ack') return PASSED;
  const ack = parseAck(payload);
  return ack.ok ? PASSED : refuse('LEDGER_PAYLOAD_INVALID', ack.detail);
}

/** An act waits for its causes and claims them; of two acts on one cause, the second is refused. */
function checkAct({ record, book }: Case): Verdict {
  for (const parent of record.claims.par) {
    const cause = book.records.get(parent);
    if (cause === undefined) return refuse('LEDGER_PARENT_UNKNOWN', `no record ${parent}`);
    const verdict = checkParent(record.claims, cause.record.claims);
    if (!verdict.ok) return verdict;
  }
  const claimed = actKeys(record.claims).find((key) => book.acts.has(key));
  if (claimed === undefined) return PASSED;
  return refuse('LEDGER_ACT_CLAIMED', `act ${book.acts.get(claimed)} was accepted for this cause`);
}
