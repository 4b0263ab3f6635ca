import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { decodeBase64Url } from './base64url.ts';
import type { JsonObject } from './json.ts';

/** Curve → octets of a coordinate, which RFC 7518 6.2.1.2 wants in full. */
const CURVES: ReadonlyMap<unknown, number> = new Map([
  ['P-256', 32],
  ['P-384', 48],
  ['P-521', 66],
]);
const MIN_RSA_BITS = 2048;
/** Above it a single verification costs a stranger's reader too much. */
const MAX_RSA_BITS = 8192;

/** A public key; `unknown` is of a kind that nothing here verifies with: a consumer passes over it. */
export type JwkReading =
  | { readonly kind: 'key'; readonly key: KeyObject }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'malformed' };

const UNKNOWN = { kind: 'unknown' } as const;
const MALFORMED = { kind: 'malformed' } as const;

/**
 * Reads the public half of an EC, RSA or Ed25519 key (RFC 7517, RFC 7518 6, RFC 8037). Private members
 * are not looked at.
 */
export function readJwk({ kty, crv, x, y, n, e }: JsonObject): JwkReading {
  if (typeof kty !== 'string') return MALFORMED;
  if (kty === 'EC') {
    const size = CURVES.get(crv);
    if (size === undefined) return typeof crv === 'string' ? UNKNOWN : MALFORMED;
    if (!isOctets(x, size) || !isOctets(y, size)) return MALFORMED;
    return fromJwk({ kty, crv: String(crv), x, y });
  }
  if (kty === 'OKP' && crv === 'Ed25519') {
    return isOctets(x, 32) ? fromJwk({ kty, crv, x }) : MALFORMED;
  }
  if (kty !== 'RSA') return UNKNOWN;
  if (!isOctets(n) || !isOctets(e)) return MALFORMED;
  const read = fromJwk({ kty, n, e });
  const bits = read.kind === 'key' ? (read.key.asymmetricKeyDetails?.modulusLength ?? 0) : 0;
  return read.kind === 'key' && (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS) ? UNKNOWN : read;
}

/** The public members of a key as a JWK has them; nothing private leaves. */
export function writeJwk(key: KeyObject): JsonObject {
  const { kty, crv, x, y, n, e } = key.export({ format: 'jwk' });
  const members = Object.entries({ kty, crv, x, y, n, e });
  return Object.fromEntries(members.filter((one): one is [string, string] => one[1] !== undefined));
}

function fromJwk(jwk: JsonWebKey): JwkReading {
  try {
    return { kind: 'key', key: createPublicKey({ key: jwk, format: 'jwk' }) };
  } catch {
    // For instance a point that is not on its curve.
    return MALFORMED;
  }
}

function isOctets(value: unknown, size?: number): value is string {
  if (typeof value !== 'string' || value === '') return false;
  const length = decodeBase64Url(value)?.length;
  return length !== undefined && (size === undefined || length === size);
}
