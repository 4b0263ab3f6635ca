import { createHash } from 'node:crypto';
import { accept, type Outcome, refuse } from '../outcome.ts';

/** One SVID that was issued. Times in seconds since the epoch. */
export interface Issuance {
  /** Absent in rows of before there were two kinds: X.509. */
  readonly kind?: 'x509' | 'jwt';
  readonly spiffe_id: string;
  /** Of the certificate; a token has none, and this is empty. */
  readonly serial: string;
  /** base64url(SHA-256(leaf DER)), or of the token's characters. */
  readonly thumbprint: string;
  /** Who a token is for. */
  readonly audience?: readonly string[];
  /** What the caller had, `type:value`; empty for a minted identity. */
  readonly selectors: readonly string[];
  /** Registration entry, or `mint`. */
  readonly entry_id: string;
  readonly authority_id: string;
  readonly issued_at: number;
  readonly not_before: number;
  readonly not_after: number;
}

/** A link of the chain: `hash` covers the body and, by `previous`, everything before it. */
export interface LogRow {
  /** From 1, without gaps. */
  readonly seq: number;
  readonly previous: string;
  /** The issuance as JSON, hashed as it stands. */
  readonly body: string;
  /** hex(SHA-256(domain ‖ previous ‖ body)). */
  readonly hash: string;
}

export interface LogHead {
  readonly seq: number;
  readonly hash: string;
}

const DOMAIN = 'swarmproof/issuance-log/v1\0';
export const EMPTY_LOG: LogHead = { seq: 0, hash: '0'.repeat(64) };

export function chain(head: LogHead, issuance: Issuance): LogRow {
  const body = JSON.stringify(issuance);
  return { seq: head.seq + 1, previous: head.hash, body, hash: rowHash(head.hash, body) };
}

function rowHash(previous: string, body: string): string {
  return createHash('sha256').update(DOMAIN).update(previous, 'latin1').update(body).digest('hex');
}

/**
 * Follows the chain from `head`. An edited, removed, swapped or inserted row breaks it; a cut tail
 * does not: compare the result with a head that was kept elsewhere.
 */
export function verifyLog(
  rows: Iterable<LogRow>,
  head: LogHead = EMPTY_LOG,
): Outcome<LogHead, 'LOG_BROKEN'> {
  let last = head;
  for (const row of rows) {
    const sound =
      row.seq === last.seq + 1 &&
      row.previous === last.hash &&
      row.hash === rowHash(last.hash, row.body);
    if (!sound) return refuse('LOG_BROKEN', `the issuance log does not chain at row ${row.seq}`);
    last = { seq: row.seq, hash: row.hash };
  }
  return accept(last);
}
