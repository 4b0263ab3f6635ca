import type { SpiffeId } from '#identity/spiffe-id.ts';
import { checkParent } from '../parents.ts';
import { RECORD_KINDS, type RecordId, type RecordKind } from '../record.ts';
import type { EvidenceRecord } from '../verify.ts';
import type { Book, RecordedRefusal } from './book.ts';
import type { EquivocationEntry, LedgerEntry, RecordEntry, StatementEntry } from './entry.ts';

export interface ListFilter {
  /** First index to return. */
  readonly since?: number;
  readonly kind?: RecordKind;
  readonly iss?: SpiffeId;
  readonly limit?: number;
}

export interface LedgerCounts {
  readonly entries: number;
  readonly records: Readonly<Record<RecordKind, number>>;
  /** By the second segment of the subject: `reading`, `finding`, or the service asked. */
  readonly subjects: Readonly<Record<string, number>>;
  /** Messages that a receiver has acknowledged and not rejected. */
  readonly acknowledged: number;
  readonly refusals: number;
  readonly equivocations: number;
  readonly statements: number;
}

export interface LedgerQueries {
  size(): number;
  get(id: RecordId): RecordEntry | undefined;
  /** Records whose id starts so, at most 16, in no order: more than one means ambiguous. */
  find(prefix: string): readonly RecordEntry[];
  list(filter?: ListFilter): readonly LedgerEntry[];
  parents(id: RecordId): readonly RecordEntry[];
  children(id: RecordId): readonly RecordEntry[];
  /** A record and everything it came from, the record first; at most `limit` of them (10,000). */
  ancestry(id: RecordId, limit?: number): readonly EvidenceRecord[];
  /** What is wrong with a record's causes, as one line each; empty when nothing is. */
  parentFaults(id: RecordId): readonly string[];
  refusals(since?: number): readonly RecordedRefusal[];
  equivocations(): readonly EquivocationEntry[];
  /** What pinned keys stated, the oldest first. */
  statements(): readonly StatementEntry[];
  /** The chain behind a thumbprint, for receivers that missed the message which carried it. */
  chain(thumbprint: string): readonly Uint8Array[] | undefined;
  counts(): LedgerCounts;
}

const MAX_FOUND = 16;

export function createQueries(book: Book): LedgerQueries {
  const known = (ids: readonly RecordId[]) =>
    ids.map((id) => book.records.get(id)).filter((entry) => entry !== undefined);

  return {
    size: () => book.entries.length,
    get: (id) => book.records.get(id),
    find(prefix) {
      const exact = book.records.get(prefix as RecordId);
      if (exact !== undefined) return [exact];
      const found: RecordEntry[] = [];
      for (const [id, entry] of book.records) {
        if (id.startsWith(prefix)) found.push(entry);
        if (found.length === MAX_FOUND) break;
      }
      return found;
    },
    list({ since = 0, kind, iss, limit = 1000 } = {}) {
      const found: LedgerEntry[] = [];
      for (let index = Math.max(0, since); index < book.entries.length; index++) {
        const entry = book.entries[index];
        if (entry === undefined || found.length >= limit) break;
        const claims = 'record' in entry ? entry.record.claims : undefined;
        if (kind !== undefined && claims?.knd !== kind) continue;
        if (iss !== undefined && claims?.iss !== iss) continue;
        found.push(entry);
      }
      return found;
    },
    parents: (id) => known(book.records.get(id)?.record.claims.par ?? []),
    children: (id) => known(book.children.get(id) ?? []),
    ancestry: (id, limit) => ancestryOf(book, id, limit),
    parentFaults(id) {
      const child = book.records.get(id)?.record.claims;
      return (child?.par ?? []).flatMap((parent) => {
        const cause = book.records.get(parent)?.record.claims;
        if (child === undefined || cause === undefined) return [`${parent}: not in the ledger`];
        const verdict = checkParent(child, cause);
        return verdict.ok ? [] : [`${parent}: ${verdict.detail}`];
      });
    },
    refusals: (since = 0) => book.refusals.filter((refusal) => refusal.index >= since),
    statements: () => [...book.statements.values()],
    equivocations: () => book.entries.filter((entry) => entry.type === 'equivocation'),
    chain: (thumbprint) => book.chains.get(thumbprint),
    counts: () => countsOf(book),
  };
}

function ancestryOf(book: Book, id: RecordId, limit = 10_000): readonly EvidenceRecord[] {
  const seen = new Set<RecordId>([id]);
  const evidence: EvidenceRecord[] = [];
  // A set keeps its order while it grows, so that this walks breadth first.
  for (const next of seen) {
    const entry = book.records.get(next);
    if (entry === undefined) continue;
    if (evidence.length >= limit) break;
    const { record, salt, payload, at } = entry;
    evidence.push({
      id: next,
      jws: record.jws,
      salt,
      ...(payload !== undefined && { payload }),
      chain: book.chains.get(record.thumbprint) ?? [],
      at,
    });
    for (const parent of record.claims.par) seen.add(parent);
  }
  return evidence;
}

function countsOf(book: Book): LedgerCounts {
  const records = Object.fromEntries(RECORD_KINDS.map((kind) => [kind, 0])) as Record<
    RecordKind,
    number
  >;
  const subjects: Record<string, number> = Object.create(null);
  for (const { record } of book.records.values()) {
    records[record.claims.knd] += 1;
    const name = record.claims.sbj.split('.')[1];
    if (name !== undefined) subjects[name] = (subjects[name] ?? 0) + 1;
  }
  let acknowledged = 0;
  for (const { through, rejected } of book.acks.values()) acknowledged += through - rejected;
  return {
    entries: book.entries.length,
    records,
    subjects,
    acknowledged,
    refusals: book.refusals.reduce((sum, { refusal }) => sum + refusal.count, 0),
    equivocations: book.equivocations.size,
    statements: book.statements.size,
  };
}
