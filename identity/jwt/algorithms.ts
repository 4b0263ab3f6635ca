import { constants, type KeyObject, verify } from 'node:crypto';
import { verifyEcdsa } from '../ecdsa.ts';

interface Rsa {
  readonly kind: 'rsa';
  readonly hash: string;
  readonly pss: boolean;
}

interface Ecdsa {
  readonly kind: 'ec';
  readonly hash: string;
  readonly curve: string;
  /** Octets of r ‖ s (RFC 7518 3.4). */
  readonly size: number;
}

/**
 * The nine algorithms of a JWT-SVID (JWT-SVID 2.1). What is not in this table does not exist for a
 * validator: no `none`, no HMAC that would take a public key for a secret, no EdDSA.
 */
const ALGORITHMS: ReadonlyMap<string, Rsa | Ecdsa> = new Map([
  ['RS256', { kind: 'rsa', hash: 'sha256', pss: false }],
  ['RS384', { kind: 'rsa', hash: 'sha384', pss: false }],
  ['RS512', { kind: 'rsa', hash: 'sha512', pss: false }],
  ['ES256', { kind: 'ec', hash: 'sha256', curve: 'prime256v1', size: 64 }],
  ['ES384', { kind: 'ec', hash: 'sha384', curve: 'secp384r1', size: 96 }],
  ['ES512', { kind: 'ec', hash: 'sha512', curve: 'secp521r1', size: 132 }],
  ['PS256', { kind: 'rsa', hash: 'sha256', pss: true }],
  ['PS384', { kind: 'rsa', hash: 'sha384', pss: true }],
  ['PS512', { kind: 'rsa', hash: 'sha512', pss: true }],
]);

export function isPermitted(algorithm: string): boolean {
  return ALGORITHMS.has(algorithm);
}

/** Whether a key can have made signatures of this algorithm: kind, and curve where there is one. */
export function suits(algorithm: string, key: KeyObject): boolean {
  const known = ALGORITHMS.get(algorithm);
  if (known === undefined || key.asymmetricKeyType !== known.kind) return false;
  return known.kind === 'rsa' || key.asymmetricKeyDetails?.namedCurve === known.curve;
}

/** Verifies a JWS signature over `input` (RFC 7515 5.2). Never throws; ask `suits` first. */
export function isSigned(
  algorithm: string,
  key: KeyObject,
  input: Uint8Array,
  signature: Uint8Array,
): boolean {
  const known = ALGORITHMS.get(algorithm);
  if (known === undefined) return false;
  try {
    if (known.kind === 'ec') {
      if (signature.length !== known.size) return false;
      return verifyEcdsa(known.hash, input, key, signature);
    }
    if (!known.pss) return verify(known.hash, input, key, signature);
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    // RFC 7518 3.5: the salt is as long as the hash.
    const saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
    return verify(known.hash, input, { key, padding, saltLength }, signature);
  } catch {
    return false;
  }
}
