import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { parseSpiffeId, type SpiffeId } from '#identity/spiffe-id.ts';
import { parseAck, type RefusalPayload } from '../ack.ts';
import { is256Bits } from '../base64url.ts';
import { type CanonicalValue, canonicalise, canonicalText } from '../canonical.ts';
import type { EntryCode } from '../codes.ts';
import type { RecordId } from '../record.ts';
import type { LedgerEntry } from './entry.ts';

interface LeafBase {
  /** Position in the ledger, from 0; the same as in the tree. */
  readonly index: number;
  /** The ledger's clock at acceptance, milliseconds. */
  readonly at: number;
}

interface RecordLeafBase extends LeafBase {
  /** Who submitted it. */
  readonly by: SpiffeId;
  readonly jws: string;
}

/**
 * What the tree commits to of an entry. Payload and salt are left out, because the record commits
 * to them (`pdg`): an entry can be shown to be in the log while its payload is withheld. So is the
 * chain, whose leaf certificate the record names by its hash.
 */
export type Leaf =
  | (RecordLeafBase & { readonly type: 'record' })
  | (RecordLeafBase & { readonly type: 'equivocation'; readonly other: RecordId })
  | (LeafBase & { readonly type: 'refusal'; readonly refusal: RefusalPayload })
  /** A signed note of a pinned key: an issuance, a revocation, a change of keys. */
  | (LeafBase & { readonly type: 'statement'; readonly note: string });

const VERSION = 1;

export function leafOf(entry: LedgerEntry): Leaf {
  const { type, index, at } = entry;
  if (type === 'refusal') return { type, index, at, refusal: entry.refusal };
  if (type === 'statement') return { type, index, at, note: entry.note };
  const carried = { index, at, by: entry.by, jws: entry.record.jws };
  return type === 'record' ? { type, ...carried } : { type, ...carried, other: entry.other };
}

/** The leaf input of the tree (RFC 6962 2.1): canonical JSON (RFC 8785), UTF-8. */
export function leafText(leaf: Leaf): string {
  const { type, index, at } = leaf;
  return canonicalText({ v: VERSION, type, index, at, ...bodyOf(leaf) });
}

function bodyOf(leaf: Leaf): Readonly<Record<string, CanonicalValue>> {
  switch (leaf.type) {
    case 'record':
      return { by: leaf.by, jws: leaf.jws };
    case 'equivocation':
      return { by: leaf.by, jws: leaf.jws, other: leaf.other };
    case 'refusal':
      return { refusal: { ...leaf.refusal } };
    case 'statement':
      return { note: leaf.note };
    default:
      return leaf satisfies never;
  }
}

const MEMBERS: Readonly<Record<Leaf['type'], number>> = {
  record: 6,
  equivocation: 7,
  refusal: 5,
  statement: 5,
};

/** Parses a leaf out of parsed JSON; strict, so that what is read has one text. */
export function parseLeaf(value: unknown): Outcome<Leaf, EntryCode> {
  const invalid = (detail: string) => refuse('LEDGER_ENTRY_INVALID' as const, detail);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return invalid('the entry is not an object');
  }
  const fields = value as Record<string, unknown>;
  const { v, type, index, at } = fields;
  if (v !== VERSION) return invalid(`the entry is not of version ${VERSION}`);
  if (typeof type !== 'string' || !Object.hasOwn(MEMBERS, type)) {
    return invalid('the type of the entry is not known');
  }
  if (Object.keys(fields).length !== MEMBERS[type as Leaf['type']]) {
    return invalid('the entry has a member too many or too few');
  }
  if (!isCount(index) || !isCount(at)) return invalid('index or time of the entry is invalid');
  const base = { index, at };
  if (type === 'statement') {
    const { note } = fields;
    if (typeof note !== 'string') return invalid('the statement is not a note');
    return accept({ type, ...base, note });
  }
  if (type === 'refusal') {
    const text = canonicalise(fields.refusal);
    const parsed = text === undefined ? undefined : parseAck(Buffer.from(text, 'utf8'));
    if (!parsed?.ok || parsed.value.type !== 'refusal') return invalid('the refusal is malformed');
    return accept({ type, ...base, refusal: parsed.value });
  }
  const { by, jws, other } = fields;
  const id = typeof by === 'string' ? parseSpiffeId(by) : undefined;
  if (!id?.ok || typeof jws !== 'string') return invalid('the entry has no sender or no record');
  const carried = { ...base, by: id.value, jws };
  if (type === 'record') return accept({ type, ...carried });
  if (!is256Bits(other)) return invalid('the entry does not name the other record');
  return accept({ type: 'equivocation', ...carried, other: other as RecordId });
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
