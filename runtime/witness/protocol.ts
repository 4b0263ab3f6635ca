import { createHash } from 'node:crypto';
import type { WitnessCode } from '#custody/log/codes.ts';

/** Paths of c2sp.org/tlog-witness, and one of our own: proofs of forks, as a JSON array. */
export const ADD_CHECKPOINT = '/add-checkpoint';
export const FORKS = '/forks';
/** `GET /<SHA-256 of the origin, hex>/checkpoint`: what was cosigned last. */
export const CHECKPOINT = /^\/([0-9a-f]{64})\/checkpoint$/;

/** Where the last checkpoint of a log is found. */
export function checkpointPath(origin: string): string {
  return `/${createHash('sha256').update(origin).digest('hex')}/checkpoint`;
}

/** The body of a 409: the size that was cosigned last, in decimal, and a newline. */
export const SIZE_TYPE = 'text/x.tlog.size';

/** More than any request that is judged: a note of 64 KiB and a proof of 63 hashes. */
export const MAX_REQUEST_BYTES = 128 * 1024;
/** More than any answer to a log: a size, a code with its reason, or a signature line. */
export const MAX_ANSWER_BYTES = 4096;

/** The status that c2sp.org/tlog-witness gives each refusal; a fork it leaves among bad proofs. */
export const STATUS: Readonly<Record<WitnessCode, number>> = {
  WITNESS_REQUEST_MALFORMED: 400,
  WITNESS_OLD_SIZE_AHEAD: 400,
  WITNESS_LOG_UNSIGNED: 403,
  WITNESS_ORIGIN_UNKNOWN: 404,
  WITNESS_SIZE_CONFLICT: 409,
  WITNESS_PROOF_INVALID: 422,
  WITNESS_FORK: 422,
  WITNESS_STORAGE_FAILED: 503,
};
