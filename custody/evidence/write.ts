import type { LedgerEntry } from '../ledger/entry.ts';
import { leafOf } from '../ledger/leaf.ts';
import { isTreeSize } from '../log/hash.ts';
import type { MerkleTree } from '../log/merkle.ts';
import type { RecordId } from '../record.ts';
import type { EvidenceEntry, EvidenceHeader, EvidencePart } from './format.ts';

export type ExportedEntry = LedgerEntry;

export interface EvidenceSource {
  readonly header: EvidenceHeader;
  /** Ascending by index, each once. */
  readonly entries: Iterable<ExportedEntry>;
  /** Over all entries of the ledger, at least up to the last checkpoint. */
  readonly tree: Pick<MerkleTree, 'inclusion' | 'consistency'>;
  /** Signed and cosigned notes, ascending by size. */
  readonly checkpoints: readonly string[];
  /** Changes of keys, oldest first. */
  readonly rollovers?: readonly string[];
  /** DER, leaf first. */
  readonly chainOf: (thumbprint: string) => readonly Uint8Array[] | undefined;
  /** Where these parts go on: size of the last checkpoint before them; the header is there too. */
  readonly after?: number;
  /** Payloads that are not to be shown; the records stay verifiable. */
  readonly withhold?: (id: RecordId) => boolean;
}

/**
 * The parts of an evidence file. Each entry is proven in the first checkpoint that covers it,
 * because the time of that one is when it was witnessed.
 */
export function* evidenceParts(source: EvidenceSource): Generator<EvidencePart> {
  const { tree, chainOf, withhold } = source;
  if (source.after === undefined) {
    yield { kind: 'header', header: source.header };
    for (const note of source.rollovers ?? []) yield { kind: 'rollover', note };
  }
  const heads = source.checkpoints.map((note) => ({ note, size: sizeOfCheckpoint(note) }));
  const shown = new Set<string>();
  let at = 0;
  let written = source.after ?? 0;
  for (const entry of source.entries) {
    while ((heads[at]?.size ?? Number.POSITIVE_INFINITY) <= entry.index) at += 1;
    const head = heads[at];
    if (head !== undefined && head.size !== written) {
      const consistency = written === 0 ? [] : tree.consistency(written, head.size);
      yield { kind: 'checkpoint', checkpoint: { note: head.note, consistency } };
      written = head.size;
    }
    const thumbprint = 'record' in entry ? entry.record.thumbprint : undefined;
    const chain = thumbprint === undefined ? undefined : chainOf(thumbprint);
    if (thumbprint !== undefined && chain !== undefined && !shown.has(thumbprint)) {
      shown.add(thumbprint);
      yield { kind: 'chain', chain };
    }
    // Not covered yet: it goes along unproven, and the verdict says so.
    const size = head?.size ?? 0;
    const path = size === 0 ? [] : tree.inclusion(entry.index, size);
    yield { kind: 'entry', entry: { ...carried(entry, withhold), size, path } };
  }
}

function carried(
  entry: ExportedEntry,
  withhold: EvidenceSource['withhold'],
): Pick<EvidenceEntry, 'id' | 'leaf' | 'opened'> {
  const leaf = leafOf(entry);
  if (entry.type === 'statement' || entry.type === 'refusal') return { leaf };
  const { payload, salt, record } = entry;
  const hidden = payload === undefined || withhold?.(record.id) === true;
  return { id: record.id, leaf, ...(!hidden && { opened: { payload, salt } }) };
}

/** @throws Error when it is not a checkpoint: whoever exports has stored it. */
export function sizeOfCheckpoint(note: string): number {
  // The second line alone: a ledger has a checkpoint for each second of its life.
  const begin = note.indexOf('\n') + 1;
  const size = Number(note.slice(begin, note.indexOf('\n', begin)) || Number.NaN);
  if (!isTreeSize(size)) throw new Error('evidence: a stored checkpoint has no size');
  return size;
}
