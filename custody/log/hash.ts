import { createHash } from 'node:crypto';

/** SHA-256, the hash of the tree. */
export const HASH_BYTES = 32;

/** A leaf is never a node: without the two prefixes, two children could be passed off as an entry. */
const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);

/** RFC 6962 2.1: SHA-256(0x00 ‖ entry). */
export function leafHash(entry: Uint8Array | string): Uint8Array {
  return createHash('sha256').update(LEAF_PREFIX).update(entry).digest();
}

/** RFC 6962 2.1: SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return createHash('sha256').update(NODE_PREFIX).update(left).update(right).digest();
}

/** RFC 6962 2.1: the root of the tree without leaves is the hash of nothing. */
export function emptyRoot(): Uint8Array {
  return createHash('sha256').digest();
}

export function sameHash(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === HASH_BYTES && Buffer.compare(a, b) === 0;
}

/** A tree size or a leaf's place: the largest integer that a number holds bounds both. */
export function isTreeSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
