import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { decodeBase64, decodeBase64Url, is128Bits, is256Bits } from '../base64url.ts';
import { isCanonical } from '../canonical.ts';
import { parseLeaf } from '../ledger/leaf.ts';
import { HASH_BYTES, isTreeSize } from '../log/hash.ts';
import { MAX_PROOF } from '../log/proof.ts';
import type { RecordId } from '../record.ts';
import type { EvidenceCode } from './codes.ts';
import {
  EVIDENCE_TYPE,
  EVIDENCE_VERSION,
  type EvidenceEntry,
  type EvidencePart,
} from './format.ts';

/** The first line: a whole document, or the header of many lines. */
export const MAX_DOCUMENT_CHARACTERS = 16_777_216;
/** Any other line: an entry with the largest payload that the ledger takes fits. */
export const MAX_LINE_CHARACTERS = 1_048_576;
const MAX_DEPTH = 8;
const MAX_CHAIN = 8;
const MAX_ORIGIN = 256;

type Parts = Outcome<readonly EvidencePart[], EvidenceCode>;
type Fields = Record<string, unknown>;
const malformed = (detail: string) => refuse('EVIDENCE_MALFORMED' as const, detail);

/** Parses one line, without its newline. The first one may hold everything. Never throws. */
export function parseEvidenceLine(line: string, first: boolean): Parts {
  const most = first ? MAX_DOCUMENT_CHARACTERS : MAX_LINE_CHARACTERS;
  if (line.length > most)
    return refuse('EVIDENCE_TOO_LARGE', `a line has at most ${most} characters`);
  // Before the parser: what is nested deeper than the format would only cost memory.
  if (isTooDeep(line)) return refuse('EVIDENCE_TOO_LARGE', `nested deeper than ${MAX_DEPTH}`);
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return refuse('EVIDENCE_NOT_CANONICAL', 'a line is not JSON: the file was cut or altered');
  }
  // One comparison refuses duplicate members, whitespace, other escapes and other order.
  if (!isCanonical(value, line)) {
    return refuse('EVIDENCE_NOT_CANONICAL', 'a line is not in the one spelling of RFC 8785');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return malformed('a line is not a JSON object');
  }
  return first ? parseDocument(value as Fields) : parseLine(value as Fields);
}

function isTooDeep(text: string): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (quoted) {
      if (code === 0x5c) at += 1;
      else if (code === 0x22) quoted = false;
    } else if (code === 0x22) quoted = true;
    else if (code === 0x7b || code === 0x5b) depth += 1;
    else if (code === 0x7d || code === 0x5d) depth -= 1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

const LISTS = {
  rollovers: parseRollover,
  checkpoints: parseCheckpoint,
  chains: parseChain,
  entries: parseEntry,
} as const;
const HEADER = new Set(['v', 'type', 'origin', 'action', 'range', ...Object.keys(LISTS)]);

function parseDocument(fields: Fields): Parts {
  const { v, type, origin, action, range } = fields;
  if (type !== EVIDENCE_TYPE || v !== EVIDENCE_VERSION) {
    return malformed(`the file does not begin as ${EVIDENCE_TYPE} of version ${EVIDENCE_VERSION}`);
  }
  if (Object.keys(fields).some((name) => !HEADER.has(name)))
    return malformed('a member is unknown');
  if (typeof origin !== 'string' || origin.length > MAX_ORIGIN) return malformed('no origin');
  if (action !== undefined && !is256Bits(action)) return malformed('the action is not a record id');
  const span = range === undefined ? undefined : parseRange(range);
  if (range !== undefined && span === undefined) return malformed('the range is malformed');
  // Whoever deletes the range could leave out entries, and no number would be missed.
  if (action === undefined && span === undefined) {
    return malformed('the file says neither of which action nor of which range it is');
  }
  const header = {
    origin,
    ...(action !== undefined && { action: action as RecordId }),
    ...(span !== undefined && { range: span }),
  };
  const parts: EvidencePart[] = [{ kind: 'header', header }];
  for (const [name, parse] of Object.entries(LISTS)) {
    const list = fields[name] ?? [];
    if (!Array.isArray(list)) return malformed(`${name} is not a list`);
    for (const item of list) {
      const part = parse(item);
      if (part === undefined) return malformed(`an item of ${name} has the wrong form`);
      parts.push(part);
    }
  }
  return accept(parts);
}

function parseLine(fields: Fields): Parts {
  const [name, ...more] = Object.keys(fields);
  const alone = more.length === 0;
  const part =
    alone && name === 'rollover'
      ? parseRollover(fields.rollover)
      : alone && name === 'checkpoint'
        ? parseCheckpoint(fields.checkpoint)
        : alone && name === 'chain'
          ? parseChain(fields.chain)
          : parseEntry(fields);
  return part === undefined ? malformed('a line has the wrong form') : accept([part]);
}

function parseRange(value: unknown): { from: number; to: number } | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { from, to, ...more } = value as Fields;
  if (!isTreeSize(from) || !isTreeSize(to) || to < from || Object.keys(more).length > 0) {
    return undefined;
  }
  return { from, to };
}

function parseRollover(value: unknown): EvidencePart | undefined {
  return typeof value === 'string' ? { kind: 'rollover', note: value } : undefined;
}

function parseCheckpoint(value: unknown): EvidencePart | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { note, consistency, ...more } = value as Fields;
  const path = parseHashes(consistency);
  if (typeof note !== 'string' || path === undefined || Object.keys(more).length > 0) {
    return undefined;
  }
  return { kind: 'checkpoint', checkpoint: { note, consistency: path } };
}

function parseChain(value: unknown): EvidencePart | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_CHAIN) return undefined;
  const chain = value.map((item) => (typeof item === 'string' ? decodeBase64(item) : undefined));
  return chain.every((item) => item !== undefined) ? { kind: 'chain', chain } : undefined;
}

function parseHashes(value: unknown): readonly Uint8Array[] | undefined {
  if (!Array.isArray(value) || value.length > MAX_PROOF) return undefined;
  const hashes: Uint8Array[] = [];
  for (const item of value) {
    const hash = typeof item === 'string' ? decodeBase64(item) : undefined;
    if (hash?.length !== HASH_BYTES) return undefined;
    hashes.push(hash);
  }
  return hashes;
}

function parseEntry(value: unknown): EvidencePart | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { id, entry, size, path: hashes, payload, salt, ...more } = value as Fields;
  const leaf = parseLeaf(entry);
  const path = parseHashes(hashes);
  if (!leaf.ok || path === undefined || !isTreeSize(size) || Object.keys(more).length > 0) {
    return undefined;
  }
  const carries = leaf.value.type === 'record' || leaf.value.type === 'equivocation';
  if (carries ? !is256Bits(id) : id !== undefined) return undefined;
  const opened = parseOpened(payload, salt);
  if (opened === 'malformed' || (opened !== undefined && !carries)) return undefined;
  const parsed: EvidenceEntry = {
    ...(carries && { id: id as RecordId }),
    leaf: leaf.value,
    size,
    path,
    ...(opened !== undefined && { opened }),
  };
  return { kind: 'entry', entry: parsed };
}

function parseOpened(payload: unknown, salt: unknown): EvidenceEntry['opened'] | 'malformed' {
  if (payload === undefined && salt === undefined) return undefined;
  if (typeof payload !== 'string' || !is128Bits(salt)) return 'malformed';
  const bytes = payload === '' ? new Uint8Array() : decodeBase64(payload);
  const saltBytes = decodeBase64Url(salt);
  return bytes && saltBytes ? { payload: bytes, salt: saltBytes } : 'malformed';
}

/**
 * Cuts chunks of a file into lines, without more in memory than the longest line that is read.
 * Bytes that are not UTF-8 become U+FFFD, which is in no signed text, and fail there.
 */
export async function* evidenceLines(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let rest = '';
  let count = 0;
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    let begin = 0;
    for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n', begin)) {
      yield rest.slice(begin, end);
      count += 1;
      begin = end + 1;
    }
    rest = rest.slice(begin);
    // Longer than any line may be: whoever reads it refuses it, and reads no further.
    if (rest.length > (count === 0 ? MAX_DOCUMENT_CHARACTERS : MAX_LINE_CHARACTERS)) break;
  }
  rest += decoder.decode();
  if (rest !== '') yield rest;
}
