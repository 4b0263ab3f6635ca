import { createHash } from 'node:crypto';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { parseSpiffeId, type SpiffeId } from '#identity/spiffe-id.ts';
import { parseAck, type RefusalPayload } from '../ack.ts';
import {
  decodeBase64,
  decodeBase64Url,
  encodeBase64,
  encodeBase64Url,
  is128Bits,
} from '../base64url.ts';
import { type CanonicalValue, canonicalise, canonicalText } from '../canonical.ts';
import type { EntryCode } from '../codes.ts';
import { parseNote } from '../log/note.ts';
import type { BatchPlace } from '../record/batch.ts';
import { type ParsedRecord, parseRecord } from '../record/parse.ts';
import type { RecordId } from '../record.ts';

interface EntryBase {
  /** Position in the ledger, from 0. */
  readonly index: number;
  /** The ledger's clock at acceptance, milliseconds. */
  readonly at: number;
}

interface CarriedRecord extends EntryBase {
  /** Who submitted it: the identity that the broker pinned. */
  readonly by: SpiffeId;
  readonly record: ParsedRecord;
  readonly salt: Uint8Array;
  /** `undefined`: withheld. */
  readonly payload: Uint8Array | undefined;
  /** The signer's chain, on the first entry that its leaf appears on. */
  readonly chain: readonly Uint8Array[] | undefined;
}

export interface RecordEntry extends CarriedRecord {
  readonly type: 'record';
}

/** Proof that a sender signed two records with one `seq`: `record` here, `other` accepted before. */
export interface EquivocationEntry extends CarriedRecord {
  readonly type: 'equivocation';
  readonly other: RecordId;
}

/** What the ledger itself refused. Refusals of other doors are `ack` records. */
export interface RefusalEntry extends EntryBase {
  readonly type: 'refusal';
  readonly refusal: RefusalPayload;
}

/** What a pinned key stated: a signed note, verified before it was entered. */
export interface StatementEntry extends EntryBase {
  readonly type: 'statement';
  readonly note: string;
}

export type LedgerEntry = RecordEntry | EquivocationEntry | RefusalEntry | StatementEntry;

/** Not from Node's pool, whose slabs live as long as the smallest piece of them. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

function ownText(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

/** The place in a batch, out of the record's own text. */
function ownPlace(place: BatchPlace, text: string): BatchPlace {
  const jws = text.slice(text.lastIndexOf('~') + 1);
  const signingInput = jws.slice(0, place.signingInput.length);
  const path = place.path.map(ownBytes);
  return { ...place, jws, signingInput, root: ownBytes(place.root), path };
}

/**
 * The entry with bytes and text of its own. What came from the network is a view into what the
 * socket read, or a slice of a message's whole header: kept as it is, it keeps all of that in memory.
 */
export function ownEntry(entry: LedgerEntry): LedgerEntry {
  if (entry.type === 'refusal' || entry.type === 'statement') return entry;
  const { batch, signature } = entry.record;
  const jws = ownText(entry.record.jws);
  const { length } = entry.record.signingInput;
  const signingInput = batch ? ownText(entry.record.signingInput) : jws.slice(0, length);
  const own = { ...entry.record, jws, signingInput, signature: ownBytes(signature) };
  return {
    ...entry,
    record: batch ? { ...own, batch: ownPlace(batch, jws) } : own,
    salt: ownBytes(entry.salt),
    payload: entry.payload && ownBytes(entry.payload),
    chain: entry.chain?.map(ownBytes),
  };
}

/** Under which name storage deduplicates an entry. */
export function entryId(entry: LedgerEntry): string {
  switch (entry.type) {
    case 'record':
      return entry.record.id;
    case 'equivocation':
      return `equivocation.${entry.record.id}`;
    case 'refusal':
      return `refusal.${entry.index}`;
    case 'statement':
      return `statement.${createHash('sha256').update(entry.note).digest('base64url')}`;
    default:
      return entry satisfies never;
  }
}

const VERSION = 1;

/**
 * The bytes of an entry as they are stored: canonical JSON, version 1. What of it the Merkle tree
 * commits to is `leafText`, which leaves out what may be withheld.
 */
export function encodeEntry(entry: LedgerEntry): Uint8Array {
  const { index, at, type } = entry;
  const base = { v: VERSION, type, index, at };
  return Buffer.from(canonicalText({ ...base, ...body(entry) }), 'utf8');
}

function body(entry: LedgerEntry): Readonly<Record<string, CanonicalValue>> {
  if (entry.type === 'refusal') return { refusal: { ...entry.refusal } };
  if (entry.type === 'statement') return { note: entry.note };
  return {
    by: entry.by,
    jws: entry.record.jws,
    salt: encodeBase64Url(entry.salt),
    payload: entry.payload === undefined ? false : encodeBase64(entry.payload),
    ...(entry.chain !== undefined && { chain: entry.chain.map(encodeBase64) }),
    ...(entry.type === 'equivocation' && { other: entry.other }),
  };
}

/** Parses stored bytes. Says nothing about signatures: these were verified before the append. */
export function decodeEntry(bytes: Uint8Array): Outcome<LedgerEntry, EntryCode> {
  const invalid = (detail: string) => refuse('LEDGER_ENTRY_INVALID' as const, detail);
  const text = Buffer.from(bytes).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return invalid('the entry is not JSON');
  }
  if (typeof value !== 'object' || value === null || canonicalise(value) !== text) {
    return invalid('the entry is not canonical JSON');
  }
  const fields = value as Record<string, unknown>;
  const { v, index, at } = fields;
  if (v !== VERSION) return invalid(`the entry is not of version ${VERSION}`);
  if (typeof index !== 'number' || typeof at !== 'number') return invalid('index or at is absent');
  if (fields.type === 'refusal') {
    const text = canonicalise(fields.refusal);
    const parsed = text === undefined ? undefined : parseAck(Buffer.from(text, 'utf8'));
    if (!parsed?.ok || parsed.value.type !== 'refusal') return invalid('the refusal is malformed');
    return accept({ type: 'refusal', index, at, refusal: parsed.value });
  }
  if (fields.type === 'statement') {
    const { note } = fields;
    if (typeof note !== 'string' || !parseNote(note).ok) return invalid('the note is malformed');
    return accept({ type: 'statement', index, at, note });
  }
  const carried = decodeCarried(fields, { index, at });
  if (carried === undefined) return invalid('the record of the entry is malformed');
  if (fields.type === 'record') return accept({ type: 'record', ...carried });
  if (fields.type === 'equivocation' && typeof fields.other === 'string') {
    return accept({ type: 'equivocation', ...carried, other: fields.other as RecordId });
  }
  return invalid('the type of the entry is not known');
}

function decodeCarried(
  fields: Record<string, unknown>,
  base: EntryBase,
): CarriedRecord | undefined {
  const { by, jws, salt, payload } = fields;
  const id = typeof by === 'string' ? parseSpiffeId(by) : undefined;
  const record = typeof jws === 'string' ? parseRecord(jws) : undefined;
  const saltBytes = is128Bits(salt) ? decodeBase64Url(salt) : undefined;
  if (!id?.ok || !record?.ok || saltBytes === undefined) return undefined;
  const bytes = typeof payload === 'string' ? decodePayload(payload) : undefined;
  if (bytes === undefined && payload !== false) return undefined;
  const chain = decodeChainField(fields.chain);
  if (chain === undefined && fields.chain !== undefined) return undefined;
  return { ...base, by: id.value, record: record.value, salt: saltBytes, payload: bytes, chain };
}

function decodePayload(text: string): Uint8Array | undefined {
  return text === '' ? new Uint8Array() : decodeBase64(text);
}

function decodeChainField(value: unknown): readonly Uint8Array[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const chain = value.map((item) => (typeof item === 'string' ? decodeBase64(item) : undefined));
  return chain.every((item) => item !== undefined) ? chain : undefined;
}
