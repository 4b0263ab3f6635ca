import { emptyRoot, HASH_BYTES, isTreeSize, leafHash, nodeHash } from './hash.ts';

/**
 * Where the tree keeps the hashes of complete subtrees: level 0 holds the leaf hashes, node `index`
 * of level `level` covers the leaves [index · 2^level, (index + 1) · 2^level). Written once, in
 * order within a level, never changed: storage may be tiles, files or memory.
 */
export interface HashStore {
  get(level: number, index: number): Uint8Array | undefined;
  /** `index` is the number of hashes that the level already holds. */
  put(level: number, index: number, hash: Uint8Array): void;
}

export interface MerkleTree {
  size(): number;
  /** Takes the bytes of an entry and returns its index. */
  append(entry: Uint8Array | string): number;
  /** Root of the first `size` leaves, by default of all. */
  root(size?: number): Uint8Array;
  /** RFC 6962 2.1.1: from the leaf's sibling up. @throws RangeError outside the tree: a bug. */
  inclusion(index: number, size?: number): readonly Uint8Array[];
  /** RFC 6962 2.1.2; empty for equal sizes, and from the empty tree. @throws RangeError likewise. */
  consistency(oldSize: number, size?: number): readonly Uint8Array[];
}

/** Largest power of two below `size`; `size` is at least 2. */
function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

/** The level at which one node covers `width` leaves; `undefined` when no complete subtree does. */
function levelOf(width: number): number | undefined {
  let level = 0;
  let covered = 1;
  while (covered < width) {
    covered *= 2;
    level += 1;
  }
  return covered === width ? level : undefined;
}

/**
 * A Merkle tree that grows at its right edge (RFC 6962 2.1). An append hashes O(log n) nodes and
 * keeps nothing but the store; proofs for any earlier size are read out of the same hashes.
 */
export function createMerkleTree(store: HashStore, initialSize = 0): MerkleTree {
  let leaves = initialSize;

  function stored(level: number, index: number): Uint8Array {
    const hash = store.get(level, index);
    if (hash === undefined) throw new Error(`merkle tree: no hash at level ${level}, ${index}`);
    return hash;
  }

  /** Hash over the leaves [begin, end): complete subtrees are read, the right edge is folded. */
  function hashOf(begin: number, end: number): Uint8Array {
    const width = end - begin;
    const level = levelOf(width);
    if (level !== undefined && begin % width === 0) return stored(level, begin / width);
    const middle = begin + splitOf(width);
    return nodeHash(hashOf(begin, middle), hashOf(middle, end));
  }

  function checked(size: number): number {
    if (!isTreeSize(size) || size > leaves) throw new RangeError(`no tree of size ${size} yet`);
    return size;
  }

  return {
    size: () => leaves,
    append(entry) {
      const index = leaves;
      let hash = leafHash(entry);
      let place = index;
      let level = 0;
      store.put(0, place, hash);
      while (place % 2 === 1) {
        hash = nodeHash(stored(level, place - 1), hash);
        place = (place - 1) / 2;
        level += 1;
        store.put(level, place, hash);
      }
      leaves = index + 1;
      return index;
    },
    root(size = leaves) {
      return checked(size) === 0 ? emptyRoot() : hashOf(0, size);
    },
    inclusion(index, size = leaves) {
      if (!isTreeSize(index) || index >= checked(size)) {
        throw new RangeError(`no leaf ${index} in a tree of size ${size}`);
      }
      const path: Uint8Array[] = [];
      let [begin, end] = [0, size];
      while (end - begin > 1) {
        const middle = begin + splitOf(end - begin);
        if (index < middle) {
          path.push(hashOf(middle, end));
          end = middle;
        } else {
          path.push(hashOf(begin, middle));
          begin = middle;
        }
      }
      return path.reverse();
    },
    consistency(oldSize, size = leaves) {
      if (!isTreeSize(oldSize) || oldSize > checked(size)) {
        throw new RangeError(`size ${size} does not follow ${oldSize}`);
      }
      if (oldSize === 0 || oldSize === size) return [];
      const path: Uint8Array[] = [];
      let [begin, end] = [0, size];
      while (end !== oldSize) {
        const middle = begin + splitOf(end - begin);
        if (oldSize <= middle) {
          path.push(hashOf(middle, end));
          end = middle;
        } else {
          path.push(hashOf(begin, middle));
          begin = middle;
        }
      }
      // The old tree by itself is known to who asks; a part of it is not.
      if (begin !== 0) path.push(hashOf(begin, end));
      return path.reverse();
    },
  };
}

const FIRST_CAPACITY = 64;

/** Hashes in memory, 64 bytes per leaf: for a ledger that rebuilds its tree from stored entries. */
export function createMemoryHashStore(): HashStore {
  const levels: { bytes: Buffer; count: number }[] = [];
  return {
    get(level, index) {
      const held = levels[level];
      if (held === undefined || index >= held.count) return undefined;
      return held.bytes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
    },
    put(level, index, hash) {
      const held = levels[level] ?? {
        bytes: Buffer.alloc(FIRST_CAPACITY * HASH_BYTES),
        count: 0,
      };
      levels[level] = held;
      if (index !== held.count) throw new Error(`merkle tree: hash ${index} is out of order`);
      if ((index + 1) * HASH_BYTES > held.bytes.length) {
        const grown = Buffer.alloc(held.bytes.length * 2);
        held.bytes.copy(grown);
        held.bytes = grown;
      }
      held.bytes.set(hash, index * HASH_BYTES);
      held.count += 1;
    },
  };
}
