import type { EquivocationEntry, LedgerEntry, RecordEntry } from '../ledger/entry.ts';
import type { LedgerQueries } from '../ledger/queries.ts';
import type { MerkleTree } from '../log/merkle.ts';
import { isAnswerTo } from '../parents.ts';
import type { RecordId } from '../record.ts';
import { rolloversIn, selectStatements } from './statements.ts';
import { type EvidenceSource, sizeOfCheckpoint } from './write.ts';

/** A whole ledger, as whoever exports it holds it. Nothing of it is believed by who reads the file. */
export interface LedgerCopy {
  readonly origin: string;
  readonly entries: Pick<LedgerQueries, 'get' | 'children' | 'chain' | 'list'>;
  readonly tree: Pick<MerkleTree, 'inclusion' | 'consistency'>;
  /** Notes that a quorum cosigned, ascending by size. */
  readonly checkpoints: readonly string[];
}

export interface Assembled extends EvidenceSource {
  /** Entries that a tree must have so that everything here is in it. */
  readonly needed: number;
  /** Entries of the largest witnessed tree; what is beyond goes along unproven. */
  readonly witnessed: number;
}

const ALL = { since: 0, limit: Number.POSITIVE_INFINITY };

/**
 * What shows one action to somebody who trusts nobody here: the action with all that led to it,
 * the answers to it with all that led to them, a second record under a number that one of these
 * bears, and what was stated of their certificates and rules. `undefined`: no such record.
 */
export function assembleAction(
  copy: LedgerCopy,
  action: RecordId,
  withhold: EvidenceSource['withhold'] = () => false,
): Assembled | undefined {
  const first = copy.entries.get(action);
  if (first === undefined) return undefined;
  const records = withCauses(copy, [first, ...answersTo(copy, first)]);
  const all = copy.entries.list(ALL);
  const twins = all.filter((entry) => isTwin(entry, records));
  const carried = [...records.values(), ...twins];
  const statements = selectStatements(all, carried);
  const chosen = new Map<number, LedgerEntry>();
  for (const entry of [...carried, ...statements]) chosen.set(entry.index, entry);
  const entries = [...chosen.values()].sort((a, b) => a.index - b.index);
  const needed = (entries.at(-1)?.index ?? -1) + 1;
  return {
    ...sourceOf(copy, all, withhold),
    header: { origin: copy.origin, action },
    entries,
    needed,
  };
}

/**
 * Every entry from `from` on that is witnessed, up to a checkpoint before which no record names a
 * cause that the ledger took only after it: of such a range nothing is missing.
 */
export function assembleRange(
  copy: LedgerCopy,
  from = 0,
  withhold: EvidenceSource['withhold'] = () => false,
): Assembled {
  const all = copy.entries.list(ALL);
  const source = sourceOf(copy, all, withhold);
  const to = Math.max(from, closedSize(copy, all));
  const entries = all.slice(from, to);
  return { ...source, header: { origin: copy.origin, range: { from, to } }, entries, needed: to };
}

/** At most so many entries of a range from a place on, where parts before them have been written. */
export function continueRange(
  { tree, checkpoints, entries, origin }: LedgerCopy,
  next: { readonly from: number; readonly to: number; readonly after: number },
  limit: number,
  withhold: EvidenceSource['withhold'] = () => false,
): EvidenceSource {
  const { from, to, after } = next;
  return {
    header: { origin },
    entries: entries.list({ since: from, limit: Math.min(limit, Math.max(0, to - from)) }),
    tree,
    checkpoints,
    chainOf: (thumbprint) => entries.chain(thumbprint),
    withhold,
    after,
  };
}

function sourceOf(
  { tree, checkpoints, entries }: LedgerCopy,
  all: readonly LedgerEntry[],
  withhold: EvidenceSource['withhold'],
) {
  return {
    tree,
    checkpoints,
    rollovers: rolloversIn(all),
    chainOf: (thumbprint: string) => entries.chain(thumbprint),
    ...(withhold !== undefined && { withhold }),
    witnessed: witnessedSize(checkpoints),
  };
}

/** Proof that the sender of one of the records gave its number to another one as well. */
function isTwin(
  entry: LedgerEntry,
  records: ReadonlyMap<RecordId, RecordEntry>,
): entry is EquivocationEntry {
  return entry.type === 'equivocation' && records.has(entry.other);
}

/** The records and everything they came from; what the ledger does not hold is left out. */
function withCauses(copy: LedgerCopy, some: readonly RecordEntry[]): Map<RecordId, RecordEntry> {
  const found = new Map(some.map((entry) => [entry.record.id, entry]));
  // A map keeps its order while it grows.
  for (const { record } of found.values()) {
    for (const id of record.claims.par) {
      const cause = found.has(id) ? undefined : copy.entries.get(id);
      if (cause !== undefined) found.set(id, cause);
    }
  }
  return found;
}

/** What was answered to the action: that it was done, or why not, with the policy's decision. */
function answersTo(copy: LedgerCopy, { record }: RecordEntry): readonly RecordEntry[] {
  return copy.entries
    .children(record.id)
    .filter((effect) => isAnswerTo(record.claims, effect.record.claims));
}

/** Entries of the largest tree that is witnessed; `checkpoints` ascending by size. */
export function witnessedSize(checkpoints: readonly string[]): number {
  const last = checkpoints.at(-1);
  return last === undefined ? 0 : sizeOfCheckpoint(last);
}

/** The largest witnessed size at which no cause of a record before it stands behind it. */
function closedSize(copy: LedgerCopy, all: readonly LedgerEntry[]): number {
  /** Effects that were taken before their cause: a size between the two would tear them apart. */
  const torn: { readonly effect: number; readonly cause: number }[] = [];
  for (const entry of all) {
    if (entry.type !== 'record') continue;
    for (const id of entry.record.claims.par) {
      const cause = copy.entries.get(id)?.index ?? -1;
      if (cause > entry.index) torn.push({ effect: entry.index, cause });
    }
  }
  for (const note of copy.checkpoints.toReversed()) {
    const size = sizeOfCheckpoint(note);
    if (!torn.some(({ effect, cause }) => effect < size && size <= cause)) return size;
  }
  return 0;
}
