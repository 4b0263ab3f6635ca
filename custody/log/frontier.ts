import { emptyRoot, leafHash, nodeHash } from './hash.ts';

export interface Frontier {
  size(): number;
  append(entry: Uint8Array | string): void;
  root(): Uint8Array;
}

/**
 * The root of a growing tree from the roots of its complete subtrees alone, O(log n) hashes: for
 * whoever reads a whole log once and compares with a checkpoint. It can prove nothing afterwards.
 */
export function createFrontier(): Frontier {
  /** Complete subtrees, largest first; each covers more leaves than those after it. */
  const subtrees: Uint8Array[] = [];
  let leaves = 0;
  return {
    size: () => leaves,
    append(entry) {
      let hash = leafHash(entry);
      for (let rest = leaves; rest % 2 === 1; rest = (rest - 1) / 2) {
        const left = subtrees.pop();
        if (left === undefined) throw new Error('merkle frontier: a subtree is missing');
        hash = nodeHash(left, hash);
      }
      subtrees.push(hash);
      leaves += 1;
    },
    root() {
      const last = subtrees.at(-1);
      if (last === undefined) return emptyRoot();
      return subtrees.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last);
    },
  };
}
