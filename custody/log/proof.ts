import { HASH_BYTES, isTreeSize, nodeHash, sameHash } from './hash.ts';

/** A tree of 2^53 leaves has no longer proof; `tlog-witness` allows 63. */
export const MAX_PROOF = 63;

/** Claim: the leaf with this hash is at `index` in the tree of `size` leaves whose root is `root`. */
export interface InclusionClaim {
  readonly leaf: Uint8Array;
  readonly index: number;
  readonly size: number;
  readonly path: readonly Uint8Array[];
}

const half = (value: number): number => Math.floor(value / 2);
const isOdd = (value: number): boolean => value % 2 === 1;

function wellFormed(path: readonly Uint8Array[]): boolean {
  return path.length <= MAX_PROOF && path.every((hash) => hash.length === HASH_BYTES);
}

/**
 * The root to which a path leads (RFC 9162 2.1.3.2), or `undefined` when no tree of that size has
 * such a path. Any bytes may come; sizes are numbers, so that shifts of 32 bits are no option.
 */
export function rootFromInclusion(claim: InclusionClaim): Uint8Array | undefined {
  const { leaf, index, size, path } = claim;
  if (!isTreeSize(index) || !isTreeSize(size) || index >= size) return undefined;
  if (leaf.length !== HASH_BYTES || !wellFormed(path)) return undefined;
  let place = index;
  let last = size - 1;
  let hash = leaf;
  for (const sibling of path) {
    if (last === 0) return undefined;
    if (isOdd(place) || place === last) {
      hash = nodeHash(sibling, hash);
      while (!isOdd(place) && place !== 0) {
        place = half(place);
        last = half(last);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    place = half(place);
    last = half(last);
  }
  return last === 0 ? hash : undefined;
}

export function verifyInclusion(claim: InclusionClaim, root: Uint8Array): boolean {
  const found = rootFromInclusion(claim);
  return found !== undefined && sameHash(found, root);
}

export interface ConsistencyClaim {
  readonly oldSize: number;
  readonly oldRoot: Uint8Array;
  readonly size: number;
  readonly root: Uint8Array;
  readonly path: readonly Uint8Array[];
}

/**
 * True when the tree of `size` begins with the very leaves of the tree of `oldSize` (RFC 9162
 * 2.1.4.2). Equal sizes need equal roots; every tree begins with the empty one; both take no path.
 */
export function verifyConsistency(claim: ConsistencyClaim): boolean {
  const { oldSize, oldRoot, size, root, path } = claim;
  if (!isTreeSize(oldSize) || !isTreeSize(size) || oldSize > size) return false;
  if (oldSize === size) return path.length === 0 && sameHash(oldRoot, root);
  if (oldSize === 0) return path.length === 0;
  const roots = rootsFromConsistency(claim);
  return roots !== undefined && sameHash(roots.oldRoot, oldRoot) && sameHash(roots.root, root);
}

/**
 * The two roots to which the hashes of a path lead, for 0 < `oldSize` < `size`; `undefined` when
 * it is no path between such sizes. Where `root` is the signed one and `oldRoot` is not, the path
 * is a proof that the log changed its past.
 */
export function rootsFromConsistency(
  claim: Pick<ConsistencyClaim, 'oldSize' | 'oldRoot' | 'size' | 'path'>,
): { readonly oldRoot: Uint8Array; readonly root: Uint8Array } | undefined {
  const { oldSize, oldRoot, size, path } = claim;
  if (!isTreeSize(oldSize) || !isTreeSize(size) || oldSize === 0 || oldSize >= size) {
    return undefined;
  }
  if (!wellFormed(path)) return undefined;
  let place = oldSize - 1;
  let last = size - 1;
  while (isOdd(place)) {
    place = half(place);
    last = half(last);
  }
  // Where the old tree is one complete subtree, its root is the first hash and left out of the path.
  const [first, ...rest] = place === 0 ? [oldRoot, ...path] : path;
  if (first === undefined) return undefined;
  let before = first;
  let now = first;
  for (const node of rest) {
    if (last === 0) return undefined;
    if (isOdd(place) || place === last) {
      before = nodeHash(node, before);
      now = nodeHash(node, now);
      while (!isOdd(place) && place !== 0) {
        place = half(place);
        last = half(last);
      }
    } else {
      now = nodeHash(now, node);
    }
    place = half(place);
    last = half(last);
  }
  return last === 0 ? { oldRoot: before, root: now } : undefined;
}
