import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFrontier } from '#custody/log/frontier.ts';
import { leafHash, nodeHash } from '#custody/log/hash.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import { verifyConsistency, verifyInclusion } from '#custody/log/proof.ts';
import { mth, path, subproof } from './naive.ts';

const entry = (index: number): Buffer => Buffer.from(`entry ${index}`);
const entries = (count: number): Buffer[] => Array.from({ length: count }, (_, i) => entry(i));

function treeOf(leaves: readonly Uint8Array[]) {
  const tree = createMerkleTree(createMemoryHashStore());
  for (const leaf of leaves) tree.append(leaf);
  return tree;
}

/** Every size and place up to here; beyond, at random. */
const ALL = 130;
const leaves = entries(ALL);
const tree = treeOf(leaves);
const roots = Array.from({ length: ALL + 1 }, (_, size) => mth(leaves.slice(0, size)));
const flip = (hash: Uint8Array): Uint8Array => {
  const copy = Uint8Array.from(hash);
  copy[7] = (copy[7] ?? 0) ^ 16;
  return copy;
};

describe('the Merkle tree (RFC 6962 2.1), beside its definition', () => {
  it('has the same root at every size, also read back later and from a frontier', () => {
    const frontier = createFrontier();
    for (let size = 0; size <= ALL; size++) {
      expect(Buffer.compare(tree.root(size), roots[size] as Buffer), `size ${size}`).toBe(0);
      expect(Buffer.compare(frontier.root(), roots[size] as Buffer), `size ${size}`).toBe(0);
      if (size < ALL) frontier.append(entry(size));
    }
  });

  it('has the same inclusion proof for every leaf at every size, and it verifies', () => {
    for (let size = 1; size <= ALL; size++) {
      const root = roots[size] as Buffer;
      for (let index = 0; index < size; index++) {
        const proof = tree.inclusion(index, size);
        const leaf = leafHash(entry(index));
        if (!verifyInclusion({ leaf, index, size, path: proof }, root)) {
          expect.unreachable(`leaf ${index} of ${size}`);
        }
        if (size % 13 === 0 || size < 20) {
          expect(proof).toEqual(path(index, leaves.slice(0, size)));
        }
      }
    }
  });

  it('has the same consistency proof between any two sizes, and it verifies', () => {
    for (let size = 0; size <= ALL; size++) {
      for (let oldSize = 0; oldSize <= size; oldSize++) {
        const proof = tree.consistency(oldSize, size);
        const claim = { oldSize, size, path: proof };
        const [oldRoot, root] = [roots[oldSize] as Buffer, roots[size] as Buffer];
        if (!verifyConsistency({ ...claim, oldRoot, root })) {
          expect.unreachable(`${oldSize} to ${size}`);
        }
        if (oldSize > 0 && (size % 13 === 0 || size < 20)) {
          expect(proof).toEqual(subproof(oldSize, leaves.slice(0, size), true));
        }
      }
    }
  });

  it('does the same at random sizes in the thousands', () => {
    const many = entries(5000);
    const big = treeOf(many);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.nat(), fc.nat(), (size, a, b) => {
        const index = a % size;
        const oldSize = b % (size + 1);
        const root = mth(many.slice(0, size));
        const oldRoot = mth(many.slice(0, oldSize));
        const leaf = leafHash(entry(index));
        return (
          Buffer.compare(big.root(size), root) === 0 &&
          verifyInclusion({ leaf, index, size, path: big.inclusion(index, size) }, root) &&
          verifyConsistency({
            oldSize,
            oldRoot,
            size,
            root,
            path: big.consistency(oldSize, size),
          })
        );
      }),
      { numRuns: 40 },
    );
  });

  it('counts in numbers beyond 32 bits', () => {
    // A path along the left edge of a huge tree, and another along its right edge.
    const leaf = leafHash('x');
    const path = Array.from({ length: 40 }, (_, i) => leafHash(`${i}`));
    const left = { leaf, index: 0, size: 2 ** 40, path };
    const right = { leaf, index: 2 ** 40 - 1, size: 2 ** 40, path };
    const root = (claim: typeof left) =>
      path.reduce((hash, node) => pair(claim.index, hash, node), leaf);
    expect(verifyInclusion(left, root(left))).toBe(true);
    expect(verifyInclusion(right, root(right))).toBe(true);
    expect(verifyInclusion({ ...left, size: 2 ** 40 + 1 }, root(left))).toBe(false);
    expect(verifyInclusion({ ...left, index: 2 ** 32 }, root(left))).toBe(false);
  });
});

function pair(index: number, hash: Uint8Array, node: Uint8Array): Uint8Array {
  return index === 0 ? nodeHash(hash, node) : nodeHash(node, hash);
}

describe('a proof that was tampered with does not verify', () => {
  it('inclusion: other leaf, place, size, root, hash; a hash more or less', () => {
    for (const size of [1, 2, 3, 5, 8, 13, 64, 65, 100]) {
      for (const index of new Set([0, size >> 1, size - 1])) {
        const path = tree.inclusion(index, size);
        const root = roots[size] as Buffer;
        const good = { leaf: leafHash(entry(index)), index, size, path };
        expect(verifyInclusion(good, root)).toBe(true);
        const bad = [
          { ...good, leaf: leafHash('other') },
          { ...good, index: index + 1 },
          { ...good, index: index - 1 },
          { ...good, path: [...path, root] },
          { ...good, path: [root, ...path] },
          ...(path.length > 0 ? [{ ...good, path: path.slice(1) }] : []),
          ...path.map((hash, at) => ({ ...good, path: path.with(at, flip(hash)) })),
          { ...good, path: [...path.slice(0, -1), Buffer.alloc(31)] },
          { ...good, index: 0.5 },
          { ...good, index: Number.NaN },
        ];
        for (const claim of bad) expect(verifyInclusion(claim, root)).toBe(false);
        expect(verifyInclusion(good, flip(root))).toBe(false);
      }
    }
  });

  it('consistency: other sizes, roots, hashes; a hash more or less', () => {
    for (const [oldSize, size] of [
      [1, 2],
      [1, 8],
      [3, 7],
      [4, 8],
      [6, 8],
      [63, 64],
      [64, 100],
      [99, 130],
    ] as const) {
      const path = tree.consistency(oldSize, size);
      const [oldRoot, root] = [roots[oldSize] as Buffer, roots[size] as Buffer];
      const good = { oldSize, oldRoot, size, root, path };
      expect(verifyConsistency(good)).toBe(true);
      const bad = [
        { ...good, oldRoot: flip(oldRoot) },
        { ...good, root: flip(root) },
        { ...good, oldRoot: root, root: oldRoot },
        { ...good, oldSize: size, size: oldSize },
        { ...good, oldSize: oldSize + 1 },
        { ...good, path: [] },
        { ...good, path: [...path, root] },
        { ...good, path: [oldRoot, ...path] },
        { ...good, path: path.slice(1) },
        ...path.map((hash, at) => ({ ...good, path: path.with(at, flip(hash)) })),
      ];
      for (const claim of bad) expect(verifyConsistency(claim)).toBe(false);
    }
    const root = roots[5] as Buffer;
    const same = { oldSize: 5, oldRoot: root, size: 5, root, path: [] };
    expect(verifyConsistency(same)).toBe(true);
    expect(verifyConsistency({ ...same, oldRoot: flip(root) })).toBe(false);
    expect(verifyConsistency({ ...same, path: [root] })).toBe(false);
    expect(verifyConsistency({ ...same, oldSize: 0 })).toBe(true);
    expect(verifyConsistency({ ...same, oldSize: 0, path: [root] })).toBe(false);
  });

  it('a proof for nobody is a bug of the caller', () => {
    expect(() => tree.inclusion(130)).toThrow(RangeError);
    expect(() => tree.inclusion(5, 5)).toThrow(RangeError);
    expect(() => tree.consistency(6, 5)).toThrow(RangeError);
    expect(() => tree.root(131)).toThrow(RangeError);
  });
});
