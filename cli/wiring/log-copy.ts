import { decodeEntry, encodeEntry, type LedgerEntry } from '#custody/ledger/entry.ts';
import { leafOf, leafText } from '#custody/ledger/leaf.ts';
import {
  type Checkpoint,
  type LogPolicy,
  openCheckpoint,
  parseCheckpoint,
  witnessedAt,
} from '#custody/log/checkpoint.ts';
import { sameHash } from '#custody/log/hash.ts';
import { createMemoryHashStore, createMerkleTree, type MerkleTree } from '#custody/log/merkle.ts';
import { parseNote } from '#custody/log/note.ts';

/** The log as a reader of its storage sees it: a tree of its own, and the stored heads. */
export interface LogCopy {
  readonly tree: Pick<MerkleTree, 'size' | 'root' | 'inclusion' | 'consistency'>;
  /** Stored heads, as notes, ascending by size; those whose entries are all here and lead to them. */
  checkpoints(): readonly string[];
  entry(entry: LedgerEntry): void;
  /** A stored head, oldest first. Heads and entries may come in any order. */
  head(note: string): void;
  /** All that storage held when the last head was read has been taken. */
  settle(): void;
}

/** Of heads read at the start, so many are verified whole; of older ones, only where they lead. */
const VERIFIED = 64;

export function createLogCopy(options: {
  /** Keys in force for a tree of that size. */
  readonly policyAt: (size: number) => LogPolicy;
  /** Storage does not hold what was witnessed, or what it held before: one line. */
  readonly onRewritten: (detail: string) => void;
}): LogCopy {
  const { policyAt, onRewritten } = options;
  const tree = createMerkleTree(createMemoryHashStore());
  const heads: { readonly note: string; readonly size: number }[] = [];
  let waiting: { readonly note: string; readonly head: Checkpoint }[] = [];

  /** What is wrong with a head; its entries are all here. */
  function faultOf(note: string, { size, root }: Checkpoint, whole: boolean): string | undefined {
    if (!sameHash(root, tree.root(size))) return `storage leads to another tree of ${size} entries`;
    if (!whole) return undefined;
    const policy = policyAt(size);
    const opened = openCheckpoint(note, policy);
    const time = opened.ok ? witnessedAt(opened.value, policy.quorum) : opened;
    return time.ok ? undefined : `a stored head of ${size} entries: ${time.detail}`;
  }

  function judge(): void {
    const ready = waiting.filter(({ head }) => head.size <= tree.size());
    waiting = waiting.filter(({ head }) => head.size > tree.size());
    for (const [index, { note, head }] of ready.entries()) {
      const before = heads.at(-1)?.size ?? -1;
      // One that was stored twice, its answer lost, is one.
      if (head.size === before) continue;
      const fault =
        head.size < before
          ? `a stored head of ${head.size} entries follows one of ${before}`
          : faultOf(note, head, index >= ready.length - VERIFIED);
      if (fault === undefined) heads.push({ note, size: head.size });
      else onRewritten(fault);
    }
  }

  return {
    tree,
    checkpoints: () => heads.map(({ note }) => note),
    entry: (entry) => tree.append(leafText(leafOf(entry))),
    head(note) {
      const parsed = parseNote(note);
      const head = parsed.ok ? parseCheckpoint(parsed.value.text) : parsed;
      if (head.ok) waiting.push({ note, head: head.value });
      else onRewritten(`what is stored as a head is none: ${head.detail}`);
    },
    settle() {
      judge();
      const [first] = waiting;
      if (first === undefined) return;
      waiting = [];
      const { size } = first.head;
      onRewritten(`storage holds ${tree.size()} entries, and ${size} were signed for`);
    },
  };
}

/**
 * Whether storage, read again from entry `from` on, holds the bytes that it held before; at most
 * `count` entries are read. What is wrong, in one line, or `undefined`.
 */
export async function judgeStored(
  stored: AsyncIterable<Uint8Array>,
  entries: readonly LedgerEntry[],
  { from, count }: { readonly from: number; readonly count: number },
): Promise<string | undefined> {
  const to = Math.min(entries.length, from + count);
  let next = from;
  for await (const bytes of stored) {
    if (next === to) break;
    const entry = decodeEntry(bytes);
    const index = entry.ok ? entry.value.index : next;
    // One that was stored twice is one.
    const known = index <= next ? entries[index] : undefined;
    if (known === undefined || Buffer.compare(encodeEntry(known), bytes) !== 0) {
      return `storage holds another entry ${next} than it held before`;
    }
    if (index === next) next += 1;
  }
  return next === to
    ? undefined
    : `storage holds ${next} entries, and held ${entries.length} before`;
}
