import { openCheckpoint, type SignedCheckpoint } from './checkpoint.ts';
import { sameHash } from './hash.ts';
import type { VerifierKey } from './keys.ts';
import { rootsFromConsistency } from './proof.ts';

/**
 * Two checkpoints of one log that cannot both be true, as the log itself signed them. Anyone who
 * has the log's key can check it; nobody else than the log can have made it.
 */
export interface ForkProof {
  readonly origin: string;
  /** Signed notes; the size of `first` is at most that of `second`. */
  readonly first: string;
  readonly second: string;
  /**
   * For unequal sizes: a path that leads to the root of `second`, and from the same hashes to a
   * root at the size of `first` which is not the one that was signed.
   */
  readonly path: readonly Uint8Array[];
}

interface Head {
  readonly note: string;
  readonly size: number;
  readonly root: Uint8Array;
}

export type Step =
  | { readonly verdict: 'consistent' }
  /** The path proves nothing, which anybody can bring about; the log is not accused. */
  | { readonly verdict: 'unproven' }
  | { readonly verdict: 'fork'; readonly proof: ForkProof };

/** Is `next` the same log further on? `proof` is said to lead from `oldSize`. */
export function judgeStep(
  last: Head | undefined,
  next: Head & { readonly origin: string },
  given: { readonly oldSize: number; readonly proof: readonly Uint8Array[] },
): Step {
  const { oldSize, proof } = given;
  const forked = (path: readonly Uint8Array[]): Step => {
    const first = last?.note ?? '';
    return { verdict: 'fork', proof: { origin: next.origin, first, second: next.note, path } };
  };
  if (last === undefined) {
    return { verdict: oldSize === 0 && proof.length === 0 ? 'consistent' : 'unproven' };
  }
  if (last.size === next.size) {
    if (!sameHash(last.root, next.root)) return forked([]);
    return { verdict: oldSize === next.size && proof.length === 0 ? 'consistent' : 'unproven' };
  }
  if (last.size === 0) {
    return { verdict: oldSize === 0 && proof.length === 0 ? 'consistent' : 'unproven' };
  }
  if (oldSize !== last.size || oldSize > next.size) return { verdict: 'unproven' };
  const roots = rootsFromConsistency({ ...next, oldSize, oldRoot: last.root, path: proof });
  if (roots === undefined || !sameHash(roots.root, next.root)) return { verdict: 'unproven' };
  return sameHash(roots.oldRoot, last.root) ? { verdict: 'consistent' } : forked(proof);
}

/** Judges a proof that somebody shows: true when the keys' holder did sign two histories. */
export function verifyFork(proof: ForkProof, log: readonly VerifierKey[]): boolean {
  const heads: SignedCheckpoint[] = [];
  for (const note of [proof.first, proof.second]) {
    const head = openCheckpoint(note, { origin: proof.origin, log, witnesses: [] });
    if (!head.ok) return false;
    heads.push(head.value);
  }
  const [first, second] = heads;
  if (first === undefined || second === undefined) return false;
  const last = { ...first, note: proof.first };
  const next = { ...second, note: proof.second };
  return judgeStep(last, next, { oldSize: first.size, proof: proof.path }).verdict === 'fork';
}
