import type { SpiffeId } from '#identity/spiffe-id.ts';
import { parseAck, type RefusalPayload } from '../ack.ts';
import { audienceKey } from '../record/audience.ts';
import type { RecordClaims, RecordId } from '../record.ts';
import { createEnteredCertificates, type EnteredCertificates } from './certificates.ts';
import { type LedgerEntry, ownEntry, type RecordEntry, type StatementEntry } from './entry.ts';

/**
 * The ledger's indexes, all derived from the entries: adding the same entries in the same order
 * gives the same book. It holds every entry in memory; the process that owns it is sized for that.
 */
export interface Book {
  readonly entries: readonly LedgerEntry[];
  readonly records: ReadonlyMap<RecordId, RecordEntry>;
  /** `iss sid seq` → the record that was accepted first. */
  readonly sequences: ReadonlyMap<string, RecordId>;
  /** Sequence keys whose equivocation has been recorded; once is enough. */
  readonly equivocations: ReadonlySet<string>;
  /** `cause tool` → the one act accepted for it. */
  readonly acts: ReadonlyMap<string, RecordId>;
  readonly children: ReadonlyMap<RecordId, readonly RecordId[]>;
  /** Thumbprint → chain, DER, leaf first. */
  readonly chains: ReadonlyMap<string, readonly Uint8Array[]>;
  /** Acker, sender, sid and audience → the furthest acknowledgement. */
  readonly acks: ReadonlyMap<string, Acknowledged>;
  readonly refusals: readonly RecordedRefusal[];
  /** Note → the entry that has it; a statement is entered once. In the order of the entries. */
  readonly statements: ReadonlyMap<string, StatementEntry>;
  readonly certificates: Pick<EnteredCertificates, 'judge'>;
  add(entry: LedgerEntry): void;
}

/** How far a receiver acknowledged one sender's session, and how many of those it rejected. */
export interface Acknowledged {
  readonly through: number;
  readonly rejected: number;
}

/** A refusal at a door (`by` is that door's identity) or by the ledger itself. */
export interface RecordedRefusal {
  readonly index: number;
  readonly at: number;
  readonly by: SpiffeId | 'ledger';
  readonly refusal: RefusalPayload;
}

export function sequenceKey({ iss, sid, seq }: RecordClaims): string {
  return `${iss} ${sid} ${seq}`;
}

/** What an act claims: each of its causes, for its tool. Empty for other kinds. */
export function actKeys({ knd, par, tool }: RecordClaims): readonly string[] {
  return knd === 'act' ? par.map((cause) => `${cause} ${tool?.model ?? ''}`) : [];
}

export function createBook(): Book {
  const entries: LedgerEntry[] = [];
  const records = new Map<RecordId, RecordEntry>();
  const sequences = new Map<string, RecordId>();
  const equivocations = new Set<string>();
  const acts = new Map<string, RecordId>();
  const children = new Map<RecordId, RecordId[]>();
  const chains = new Map<string, readonly Uint8Array[]>();
  const acks = new Map<string, Acknowledged>();
  const refusals: RecordedRefusal[] = [];
  const statements = new Map<string, StatementEntry>();
  const certificates = createEnteredCertificates();

  function addRecord(entry: RecordEntry): void {
    const { id, claims } = entry.record;
    records.set(id, entry);
    sequences.set(sequenceKey(claims), id);
    for (const key of actKeys(claims)) acts.set(key, id);
    for (const parent of claims.par) {
      const known = children.get(parent);
      if (known === undefined) children.set(parent, [id]);
      else known.push(id);
    }
    if (claims.knd === 'ack' && entry.payload !== undefined) addAck(entry, entry.payload);
  }

  function addAck(entry: RecordEntry, bytes: Uint8Array): void {
    const parsed = parseAck(bytes);
    if (!parsed.ok) return;
    const by = entry.record.claims.iss;
    if (parsed.value.type === 'refusal') {
      refusals.push({ index: entry.index, at: entry.at, by, refusal: parsed.value });
      return;
    }
    const { to, sid, aud } = parsed.value;
    const key = `${by} ${to} ${sid} ${audienceKey(aud)}`;
    const before = acks.get(key) ?? { through: 0, rejected: 0 };
    const { through, rejected = [] } = parsed.value;
    if (through <= before.through) return;
    // Only what this one adds: receivers may repeat the rejections of earlier ones.
    const added = rejected.filter((rsq) => rsq > before.through).length;
    acks.set(key, { through, rejected: before.rejected + added });
  }

  function add(given: LedgerEntry): void {
    const entry = ownEntry(given);
    entries.push(entry);
    if (entry.type === 'refusal') {
      refusals.push({ index: entry.index, at: entry.at, by: 'ledger', refusal: entry.refusal });
      return;
    }
    if (entry.type === 'statement') {
      statements.set(entry.note, entry);
      certificates.add(entry.note);
      return;
    }
    if (entry.chain !== undefined) chains.set(entry.record.thumbprint, entry.chain);
    if (entry.type === 'equivocation') equivocations.add(sequenceKey(entry.record.claims));
    else addRecord(entry);
  }

  return {
    entries,
    records,
    sequences,
    equivocations,
    acts,
    children,
    chains,
    acks,
    refusals,
    statements,
    certificates,
    add,
  };
}
