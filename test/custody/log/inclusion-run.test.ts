import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { leafHash } from '#custody/log/hash.ts';
import { createInclusionRun } from '#custody/log/inclusion-run.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import { verifyInclusion } from '#custody/log/proof.ts';

const MOST = 70;
const tree = createMerkleTree(createMemoryHashStore());
for (let index = 0; index < MOST; index++) tree.append(`${index}`);
const claimOf = (index: number, size: number) => ({
  leaf: leafHash(`${index}`),
  index,
  size,
  path: tree.inclusion(index, size),
});

const altered = (hash: Uint8Array): Uint8Array => {
  const copy = Uint8Array.from(hash);
  copy[9] = (copy[9] ?? 0) ^ 4;
  return copy;
};

describe('inclusion of many leaves, one after the other', () => {
  it('holds for every leaf of every size, in ascending order', () => {
    for (let size = 1; size <= MOST; size++) {
      const run = createInclusionRun();
      for (let index = 0; index < size; index++) {
        if (!run.verify(claimOf(index, size), tree.root(size))) {
          expect.unreachable(`leaf ${index} of ${size}`);
        }
      }
    }
  });

  it('has no byte that is not compared: any hash of a path altered, left out or added is refused', () => {
    for (const size of [1, 2, 3, 7, 8, 13, 64, 70]) {
      const root = tree.root(size);
      for (let index = 0; index < size; index++) {
        const run = createInclusionRun();
        if (index > 0) run.verify(claimOf(index - 1, size), root);
        const claim = claimOf(index, size);
        const paths = [
          ...claim.path.map((hash, at) => claim.path.with(at, altered(hash))),
          ...claim.path.map((_, at) => claim.path.toSpliced(at, 1)),
          [...claim.path, root],
          [root, ...claim.path],
        ];
        for (const path of paths) {
          if (run.verify({ ...claim, path }, root)) expect.unreachable(`leaf ${index} of ${size}`);
        }
        expect(run.verify({ ...claim, leaf: altered(claim.leaf) }, root)).toBe(false);
        expect(run.verify({ ...claim, index: index + 1 }, root)).toBe(false);
        expect(run.verify(claim, altered(root))).toBe(false);
        expect(run.verify(claim, root)).toBe(true);
      }
    }
  });

  it('has the answer of a single verification, whatever was asked before', () => {
    const question = fc.record({
      size: fc.integer({ min: 1, max: MOST }),
      place: fc.nat(),
      shift: fc.constantFrom(0, 0, 0, 1, -1),
      spoil: fc.constantFrom('nothing', 'nothing', 'leaf', 'path', 'root', 'size', 'cut'),
    });
    fc.assert(
      fc.property(fc.array(question, { maxLength: 40 }), (questions) => {
        const run = createInclusionRun();
        for (const { size, place, shift, spoil } of questions) {
          const good = claimOf(place % size, size);
          const [first, ...rest] = good.path;
          const claim = {
            ...good,
            index: good.index + shift,
            ...(spoil === 'leaf' && { leaf: altered(good.leaf) }),
            ...(spoil === 'path' && { path: first ? [altered(first), ...rest] : [good.leaf] }),
            ...(spoil === 'size' && { size: size + 1 }),
            ...(spoil === 'cut' && { path: rest }),
          };
          const root = spoil === 'root' ? altered(tree.root(size)) : tree.root(size);
          expect(run.verify(claim, root)).toBe(verifyInclusion(claim, root));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('refuses what is no hash and no place', () => {
    const run = createInclusionRun();
    const claim = claimOf(3, 8);
    const root = tree.root(8);
    expect(run.verify(claim, root)).toBe(true);
    const [first = new Uint8Array(), ...rest] = claim.path;
    for (const bad of [
      { ...claim, index: 8 },
      { ...claim, index: -1 },
      { ...claim, index: 0.5 },
      { ...claim, leaf: first.subarray(1) },
      { ...claim, path: [first.subarray(1), ...rest] },
      { ...claim, path: Array.from({ length: 64 }, () => first) },
    ]) {
      expect(run.verify(bad, root)).toBe(false);
    }
  });
});
