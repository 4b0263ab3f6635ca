import { type KeyObject, sign, verify } from 'node:crypto';

/**
 * ECDSA with r and s side by side, each as long as the curve's order (IEEE P1363; RFC 7518 3.4).
 * Node writes this form itself when a key is handed over with `dsaEncoding`; on a key alone it takes a
 * third of the time to sign, and little more than half to verify.
 */

const SEQUENCE = 0x30;
const INTEGER = 0x02;

/** The value of a DER integer, written at the end of `into`, which has room for it. */
function copyInteger(der: Uint8Array, at: number, into: Uint8Array): number {
  const size = der[at + 1] ?? 0;
  // A leading zero keeps a high bit from being a sign; it is not part of the value.
  const extra = Math.max(size - into.length, 0);
  into.set(der.subarray(at + 2 + extra, at + 2 + size), into.length - (size - extra));
  return at + 2 + size;
}

/** A DER integer of big-endian octets, in its one shortest form. */
function integer(value: Uint8Array): Uint8Array {
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start += 1;
  const sign = (value[start] ?? 0) & 0x80 ? 1 : 0;
  const size = value.length - start + sign;
  const out = new Uint8Array(2 + size);
  out[0] = INTEGER;
  out[1] = size;
  out.set(value.subarray(start), 2 + sign);
  return out;
}

/** @param key a P-256 private key. @returns 64 octets over the SHA-256 of `input` */
export function signP256(input: Uint8Array, key: KeyObject): Buffer {
  const der = sign('sha256', input, key);
  const out = Buffer.alloc(64);
  // The sequence is below 128 octets: one octet of length, then r, then s.
  const next = copyInteger(der, 2, out.subarray(0, 32));
  copyInteger(der, next, out.subarray(32));
  return out;
}

/**
 * As `node:crypto` takes it with a key alone.
 * @param signature r and s
 * @returns `undefined` for an odd length, or one that no curve has: it is no signature
 */
export function ecdsaToDer(signature: Uint8Array): Uint8Array | undefined {
  const half = signature.length / 2;
  if (!Number.isInteger(half) || half === 0 || half > 66) return undefined;
  const r = integer(signature.subarray(0, half));
  const s = integer(signature.subarray(half));
  const size = r.length + s.length;
  const head = size < 0x80 ? [SEQUENCE, size] : [SEQUENCE, 0x81, size];
  return Buffer.concat([Buffer.from(head), r, s]);
}

/**
 * @param hash as `node:crypto` names it
 * @param key a public key of an elliptic curve
 * @param signature r and s
 */
export function verifyEcdsa(
  hash: string,
  input: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
): boolean {
  const der = ecdsaToDer(signature);
  return der !== undefined && verify(hash, input, key, der);
}
