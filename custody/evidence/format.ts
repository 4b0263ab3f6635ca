import { encodeBase64, encodeBase64Url } from '../base64url.ts';
import { type CanonicalValue, canonicalText } from '../canonical.ts';
import { type Leaf, leafText } from '../ledger/leaf.ts';
import type { RecordId } from '../record.ts';

/**
 * What the file is about. None of it is signed: it says where to begin, and what to expect. A file
 * has `action` or `range`; with neither nothing could be missing from it, and it is malformed.
 */
export interface EvidenceHeader {
  readonly origin: string;
  /** Whose ancestry this is; absent in a bulk export. */
  readonly action?: RecordId;
  /**
   * The file claims to hold every entry from `from` up to and without `to`, where the largest of its
   * checkpoints ends: what that one covers and the range does not is missing.
   */
  readonly range?: { readonly from: number; readonly to: number };
}

/** A tree head with its cosignatures, and how it follows from the one before it in the file. */
export interface EvidenceCheckpoint {
  readonly note: string;
  /** Consistency proof; empty for the first. */
  readonly consistency: readonly Uint8Array[];
}

/** An entry of the ledger with its inclusion proof in the checkpoint of `size`. */
export interface EvidenceEntry {
  /** Of the record, where the entry carries one: under which id it was asked for. */
  readonly id?: RecordId;
  readonly leaf: Leaf;
  readonly size: number;
  readonly path: readonly Uint8Array[];
  /** Both absent: withheld. With the salt alone a short payload could be guessed. */
  readonly opened?: { readonly payload: Uint8Array; readonly salt: Uint8Array };
}

/** What a file consists of, in the order in which it must stand. */
export type EvidencePart =
  | { readonly kind: 'header'; readonly header: EvidenceHeader }
  /** A signed change of the ledger's keys. */
  | { readonly kind: 'rollover'; readonly note: string }
  | { readonly kind: 'checkpoint'; readonly checkpoint: EvidenceCheckpoint }
  /** DER, leaf first: found by the hash of its leaf. */
  | { readonly kind: 'chain'; readonly chain: readonly Uint8Array[] }
  | { readonly kind: 'entry'; readonly entry: EvidenceEntry };

export const EVIDENCE_TYPE = 'custody-evidence';
export const EVIDENCE_VERSION = 1;

type Json = Readonly<Record<string, CanonicalValue>>;

function headerJson({ origin, action, range }: EvidenceHeader): Json {
  return {
    v: EVIDENCE_VERSION,
    type: EVIDENCE_TYPE,
    origin,
    ...(action !== undefined && { action }),
    ...(range !== undefined && { range: { from: range.from, to: range.to } }),
  };
}

function checkpointJson({ note, consistency }: EvidenceCheckpoint): Json {
  return { note, consistency: consistency.map(encodeBase64) };
}

function entryJson({ id, leaf, size, path, opened }: EvidenceEntry): Json {
  return {
    ...(id !== undefined && { id }),
    entry: JSON.parse(leafText(leaf)),
    size,
    path: path.map(encodeBase64),
    ...(opened !== undefined && {
      payload: encodeBase64(opened.payload),
      salt: encodeBase64Url(opened.salt),
    }),
  };
}

/** One JSON document: the form for one action. */
export function formatEvidence(parts: readonly EvidencePart[]): string {
  let header: Json = {};
  const lists = {
    rollovers: [] as CanonicalValue[],
    checkpoints: [] as CanonicalValue[],
    chains: [] as CanonicalValue[],
    entries: [] as CanonicalValue[],
  };
  for (const part of parts) {
    if (part.kind === 'header') header = headerJson(part.header);
    else if (part.kind === 'rollover') lists.rollovers.push(part.note);
    else if (part.kind === 'checkpoint') lists.checkpoints.push(checkpointJson(part.checkpoint));
    else if (part.kind === 'chain') lists.chains.push(part.chain.map(encodeBase64));
    else lists.entries.push(entryJson(part.entry));
  }
  return `${canonicalText({ ...header, ...lists })}\n`;
}

/** One line of the form for many entries: a JSON object per line, the header first. */
export function formatEvidenceLine(part: EvidencePart): string {
  return `${canonicalText(lineJson(part))}\n`;
}

function lineJson(part: EvidencePart): Json {
  switch (part.kind) {
    case 'header':
      return headerJson(part.header);
    case 'rollover':
      return { rollover: part.note };
    case 'checkpoint':
      return { checkpoint: checkpointJson(part.checkpoint) };
    case 'chain':
      return { chain: part.chain.map(encodeBase64) };
    case 'entry':
      return entryJson(part.entry);
    default:
      return part satisfies never;
  }
}
