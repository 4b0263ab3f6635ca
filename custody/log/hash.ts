import { hash } from 'node:crypto';

/** SHA-256, the hash of the tree. */
export const HASH_BYTES = 32;

/** A leaf is never a node: without the two prefixes, two children could be passed off as an entry. */
const LEAF_PREFIX = 0;
const NODE_PREFIX = 1;

/** In one call over one buffer: an object that hashes piece by piece costs twice the hash. */
const sha256 = (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer');

/** RFC 6962 2.1: SHA-256(0x00 ‖ entry). */
export function leafHash(entry: Uint8Array | string): Uint8Array {
  const bytes = typeof entry === 'string' ? Buffer.from(entry, 'utf8') : entry;
  const input = Buffer.allocUnsafe(1 + bytes.length);
  input[0] = LEAF_PREFIX;
  input.set(bytes, 1);
  return sha256(input);
}

/** RFC 6962 2.1: SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  const input = Buffer.allocUnsafe(1 + left.length + right.length);
  input[0] = NODE_PREFIX;
  input.set(left, 1);
  input.set(right, 1 + left.length);
  return sha256(input);
}

/** RFC 6962 2.1: the root of the tree without leaves is the hash of nothing. */
export function emptyRoot(): Uint8Array {
  return sha256(new Uint8Array());
}

export function sameHash(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === HASH_BYTES && Buffer.compare(a, b) === 0;
}

/** A tree size or a leaf's place: the largest integer that a number holds bounds both. */
export function isTreeSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
