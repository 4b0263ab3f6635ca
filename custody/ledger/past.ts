import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { openCheckpoint } from '../log/checkpoint.ts';
import type { NoteCode } from '../log/codes.ts';
import { sameHash } from '../log/hash.ts';
import type { VerifierKey } from '../log/keys.ts';
import type { MerkleTree } from '../log/merkle.ts';

export type PastCode = 'LEDGER_REWRITTEN' | 'LEDGER_TRUNCATED';

/** A log as it is now: its tree over all entries that storage holds. */
export interface PresentLog {
  readonly origin: string;
  /** Every key that it has signed with. */
  readonly logKeys: readonly VerifierKey[];
  readonly tree: Pick<MerkleTree, 'size' | 'root'>;
}

/**
 * Whether a tree head that the log signed earlier is of the log as it is now; returns its size.
 * Wherever the note comes from, it is the log's own signature that speaks; a note without it
 * (another code) says nothing about the log, and something about who keeps it.
 */
export function judgePast(
  note: string,
  { origin, logKeys, tree }: PresentLog,
): Outcome<number, PastCode | NoteCode> {
  const opened = openCheckpoint(note, { origin, log: logKeys, witnesses: [] });
  if (!opened.ok) return opened;
  const { size, root } = opened.value;
  if (size > tree.size()) {
    const held = `storage holds ${tree.size()} entries`;
    return refuse('LEDGER_TRUNCATED', `${held}, and this ledger signed for ${size}`);
  }
  if (!sameHash(root, tree.root(size))) {
    return refuse('LEDGER_REWRITTEN', `the first ${size} entries are not those it signed for`);
  }
  return accept(size);
}

/** Is it the log itself that is shown to have changed its past? */
export function isRefuted(code: string): code is PastCode {
  return code === 'LEDGER_REWRITTEN' || code === 'LEDGER_TRUNCATED';
}
