import { HASH_BYTES, isTreeSize, nodeHash, sameHash } from './hash.ts';
import { type InclusionClaim, MAX_PROOF } from './proof.ts';

/** Verifies that leaves are in trees, many of one tree after each other. */
export interface InclusionRun {
  /** As `verifyInclusion`: the same answer for every claim and root, in any order. */
  verify(claim: InclusionClaim, root: Uint8Array): boolean;
}

/** A node on the way from a leaf to the root, before the next hash of the path is taken. */
interface Place {
  /** Levels above the leaves, and the number of the node on its level. */
  readonly level: number;
  readonly node: number;
  readonly hash: Uint8Array;
}

interface Way {
  readonly size: number;
  readonly root: Uint8Array;
  /** One for each hash of the path. */
  readonly places: readonly Place[];
  readonly path: readonly Uint8Array[];
}

const NONE = new Uint8Array();

/**
 * Neighbours share the upper part of their ways: what the last leaf has proven of it is compared,
 * not hashed again. Of a path nothing is left unread, so that no byte of it is free.
 */
export function createInclusionRun(): InclusionRun {
  let last: Way | undefined;

  /** The rest of the proven way, if it goes on from here, or from beside it, by these very hashes. */
  function restFrom(
    place: Place,
    path: readonly Uint8Array[],
    at: number,
  ): readonly Place[] | undefined {
    if (last === undefined) return undefined;
    const met = last.places.findIndex(({ level }) => level === place.level);
    const [there, sibling] = [last.places[met], last.path[met]];
    if (there === undefined || sibling === undefined) return undefined;
    const beside = there.node % 2 === 1 ? there.node - 1 : there.node + 1;
    const next = path[at];
    const shared =
      there.node === place.node
        ? sameHash(there.hash, place.hash) && sameHash(sibling, next ?? NONE)
        : beside === place.node &&
          sameHash(sibling, place.hash) &&
          sameHash(there.hash, next ?? NONE);
    if (!shared || !sameRest(path, at + 1, last.path, met + 1)) return undefined;
    return last.places.slice(met + 1);
  }

  return {
    verify({ leaf, index, size, path }, root) {
      if (!isTreeSize(index) || !isTreeSize(size) || index >= size) return false;
      if (leaf.length !== HASH_BYTES || path.length > MAX_PROOF) return false;
      if (path.some((hash) => hash.length !== HASH_BYTES)) return false;
      if (last !== undefined && (last.size !== size || !sameHash(last.root, root))) {
        last = undefined;
      }
      const places: Place[] = [];
      let [level, node, end, hash] = [0, index, size - 1, leaf];
      const rise = () => {
        level += 1;
        node = Math.floor(node / 2);
        end = Math.floor(end / 2);
      };
      for (const [at, sibling] of path.entries()) {
        if (end === 0) return false;
        const place = { level, node, hash };
        const rest = restFrom(place, path, at);
        places.push(place);
        if (rest !== undefined) {
          last = { size, root, path, places: [...places, ...rest] };
          return true;
        }
        if (node % 2 === 1 || node === end) {
          hash = nodeHash(sibling, hash);
          while (node % 2 === 0 && node !== 0) rise();
        } else {
          hash = nodeHash(hash, sibling);
        }
        rise();
      }
      if (end !== 0 || !sameHash(hash, root)) return false;
      last = { size, root, places, path };
      return true;
    },
  };
}

function sameRest(
  a: readonly Uint8Array[],
  fromA: number,
  b: readonly Uint8Array[],
  fromB: number,
): boolean {
  if (a.length - fromA !== b.length - fromB) return false;
  for (let at = fromA; at < a.length; at++) {
    const [one, other] = [a[at], b[fromB + at - fromA]];
    if (one === undefined || other === undefined || !sameHash(one, other)) return false;
  }
  return true;
}
