import { createECDH, createPublicKey, type KeyObject } from 'node:crypto';

declare const p256: unique symbol;
/** SPKI DER of a P-256 key with an uncompressed point: 91 octets, the one form that is certified. */
export type P256Spki = Uint8Array & { readonly [p256]: true };

/** A key pair made for a workload, in the two forms in which it leaves. */
export interface WorkloadKey {
  readonly spki: P256Spki;
  /** PKCS#8 DER, unencrypted. */
  readonly pkcs8: Uint8Array;
}

const SCALAR = 32;
const POINT = 65;
/** id-ecPublicKey, prime256v1, and a bit string without unused bits (RFC 5480 2). */
const SPKI_PREFIX = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');
/**
 * RFC 5958 2 around RFC 5915 3, with the parameters in the algorithm and the public key inside, as
 * OpenSSL and Go write it: what stands before the scalar, and between it and the point.
 */
const PKCS8_PREFIX = Buffer.from(
  '308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420',
  'hex',
);
const PKCS8_PUBLIC = Buffer.from('a144034200', 'hex');

/** @param point uncompressed, on the curve */
function spkiOfPoint(point: Uint8Array): P256Spki {
  return Buffer.concat([SPKI_PREFIX, point]) as Uint8Array as P256Spki;
}

/**
 * @param scalar big-endian, of any length up to 32
 * @param point its public half, uncompressed
 */
export function writePkcs8(scalar: Uint8Array, point: Uint8Array): Uint8Array {
  const end = PKCS8_PREFIX.length + SCALAR;
  // Not of the pool: a key lies in memory of its own.
  const out = Buffer.alloc(end + PKCS8_PUBLIC.length + POINT);
  out.set(PKCS8_PREFIX);
  // RFC 5915 3: one in 256 scalars is shorter than the order, and is padded with zeros before it.
  out.set(scalar, end - scalar.length);
  out.set(PKCS8_PUBLIC, end);
  out.set(point, end + PKCS8_PUBLIC.length);
  return out;
}

/**
 * Makes P-256 pairs. Each is written from the curve's numbers: OpenSSL's encoders, which copy the key
 * for each form, would cost more than its making. The last one stays in memory until the next.
 */
export function createKeyMaker(): () => WorkloadKey {
  const curve = createECDH('prime256v1');
  return () => {
    const point = curve.generateKeys();
    const scalar = curve.getPrivateKey();
    const made = { spki: spkiOfPoint(point), pkcs8: writePkcs8(scalar, point) };
    scalar.fill(0);
    return made;
  };
}

/** @returns `undefined` when the key is not of P-256 */
export function spkiOf(key: KeyObject): P256Spki | undefined {
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return undefined;
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  // RFC 7518, 6.2.1.2: coordinates have their full 32 octets.
  const numbers = [x, y].map((coordinate) => Buffer.from(coordinate, 'base64url'));
  return spkiOfPoint(Buffer.concat([Buffer.of(4), ...numbers]));
}

/** A key as a stranger named it. @returns `undefined` when the bytes are not a P-256 public key */
export function parsePublicKey(der: Uint8Array): { key: KeyObject; spki: P256Spki } | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
    const spki = spkiOf(key);
    return spki === undefined ? undefined : { key, spki };
  } catch {
    return undefined;
  }
}
