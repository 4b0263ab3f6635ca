import { type AckPayload, parseAck, type RefusalPayload } from '#custody/ack.ts';
import type { EvidenceHeader, EvidencePart } from '#custody/evidence/format.ts';
import { parseRecord } from '#custody/record/parse.ts';
import type { RecordClaims, RecordId } from '#custody/record.ts';

/** What an audit compares of a record. */
export interface AuditRecord {
  readonly index: number;
  /** The ledger's clock at acceptance, milliseconds. */
  readonly at: number;
  readonly id: RecordId;
  readonly claims: RecordClaims;
  /** Absent: withheld. */
  readonly payload: Uint8Array | undefined;
}

export interface Equivocation {
  readonly index: number;
  readonly other: RecordId;
  readonly claims: RecordClaims;
}

/** The records of a ledger as they come out of evidence; whether they are genuine is judged beside. */
export interface AuditBook {
  /** What the export says it holds; absent where it cannot be read. */
  readonly header: EvidenceHeader | undefined;
  readonly records: ReadonlyMap<RecordId, AuditRecord>;
  /** Cause → the records that name it. */
  readonly effects: ReadonlyMap<RecordId, readonly AuditRecord[]>;
  readonly acks: readonly { readonly record: AuditRecord; readonly ack: AckPayload }[];
  /** Refused at a door, by the ledger, or by whoever lets in. */
  readonly refusals: readonly RefusalPayload[];
  readonly equivocations: readonly Equivocation[];
  /** Acknowledgements whose payload is withheld: what they say cannot be compared. */
  readonly unread: number;
  add(part: EvidencePart): void;
}

export function createAuditBook(): AuditBook {
  const records = new Map<RecordId, AuditRecord>();
  const effects = new Map<RecordId, AuditRecord[]>();
  const acks: { readonly record: AuditRecord; readonly ack: AckPayload }[] = [];
  const refusals: RefusalPayload[] = [];
  const equivocations: Equivocation[] = [];
  const book = { unread: 0, header: undefined as EvidenceHeader | undefined };

  function addRecord(record: AuditRecord): void {
    records.set(record.id, record);
    for (const cause of record.claims.par) {
      const known = effects.get(cause);
      if (known === undefined) effects.set(cause, [record]);
      else known.push(record);
    }
    if (record.claims.knd !== 'ack') return;
    if (record.payload === undefined) {
      book.unread += 1;
      return;
    }
    const ack = parseAck(record.payload);
    if (!ack.ok) return;
    if (ack.value.type === 'ack') acks.push({ record, ack: ack.value });
    else refusals.push(ack.value);
  }

  return {
    records,
    effects,
    acks,
    refusals,
    equivocations,
    get header() {
      return book.header;
    },
    get unread() {
      return book.unread;
    },
    add(part) {
      if (part.kind === 'header') book.header = part.header;
      if (part.kind !== 'entry') return;
      const { leaf, opened } = part.entry;
      if (leaf.type === 'refusal') refusals.push(leaf.refusal);
      if (leaf.type !== 'record' && leaf.type !== 'equivocation') return;
      const parsed = parseRecord(leaf.jws);
      if (!parsed.ok) return;
      const { index, at } = leaf;
      const { id, claims } = parsed.value;
      if (leaf.type === 'equivocation') equivocations.push({ index, other: leaf.other, claims });
      // Only what is asked for later: readings are most of a ledger, and their payloads are not.
      const read = claims.knd === 'ack' || claims.knd === 'msg';
      if (leaf.type === 'record') {
        addRecord({ index, at, id, claims, payload: read ? opened?.payload : undefined });
      }
    },
  };
}
