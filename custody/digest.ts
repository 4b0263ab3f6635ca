import { createHash, hash } from 'node:crypto';
import type { RecordId } from './record.ts';

/** Separates this use of SHA-256 from every other; the NUL keeps a salt from extending it. */
const PAYLOAD_CONTEXT = Buffer.from('custody/v1\0', 'latin1');
/** Hashed in one call over a copy: cheaper than three calls over as many pieces, up to this size. */
const MAX_COPIED = 8192;

/** `pdg`: base64url(SHA-256("custody/v1\0" ‖ salt ‖ payload)), over the bytes as they travel. */
export function payloadDigest(salt: Uint8Array, payload: Uint8Array): string {
  if (payload.length <= MAX_COPIED) {
    return hash('sha256', Buffer.concat([PAYLOAD_CONTEXT, salt, payload]), 'base64url');
  }
  return createHash('sha256')
    .update(PAYLOAD_CONTEXT)
    .update(salt)
    .update(payload)
    .digest('base64url');
}

/**
 * Id of a record: base64url(SHA-256(header "." claims)). The signature is left out, because an
 * ECDSA signature can be rewritten (s → n − s) by anyone without changing what it says.
 */
export function recordIdOf(signingInput: string): RecordId {
  return hash('sha256', signingInput, 'base64url') as RecordId;
}
