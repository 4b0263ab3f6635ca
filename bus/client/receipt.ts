import { is256Bits } from '#custody/base64url.ts';
import type { RecordId } from '#custody/record.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';

/** What the ledger says of records submitted to it; the payload of a record that it signs. */
export interface ReceiptPayload {
  readonly type: 'receipt';
  /** Appended, now or before. */
  readonly appended: readonly RecordId[];
  /** Refused for good, with the ledger's code. */
  readonly refused: readonly { readonly id: RecordId; readonly code: string }[];
}

/** Ids in one receipt; the payload then stays below 40 KiB. */
export const MAX_RECEIPT_IDS = 512;
const CODE = /^[A-Z][A-Z0-9_]{2,63}$/;

export function encodeReceipt(receipt: ReceiptPayload): Uint8Array {
  return Buffer.from(JSON.stringify(receipt));
}

function isRefused(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { id, code } = value as Record<string, unknown>;
  return is256Bits(id) && typeof code === 'string' && CODE.test(code);
}

export function parseReceipt(bytes: Uint8Array): Outcome<ReceiptPayload, 'RECEIPT_MALFORMED'> {
  const malformed = refuse('RECEIPT_MALFORMED' as const, 'not a receipt of the ledger');
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return malformed;
  }
  if (typeof value !== 'object' || value === null) return malformed;
  const { type, appended, refused } = value as Record<string, unknown>;
  if (type !== 'receipt' || !Array.isArray(appended) || !Array.isArray(refused)) return malformed;
  if (appended.length + refused.length > MAX_RECEIPT_IDS) return malformed;
  if (!appended.every(is256Bits) || !refused.every(isRefused)) return malformed;
  return accept(value as ReceiptPayload);
}
