import type { KeyObject } from 'node:crypto';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { encodeBase64, encodeBase64Url } from '../base64url.ts';
import { type CanonicalValue, canonicalText } from '../canonical.ts';
import { leafText } from '../ledger/leaf.ts';
import { leafHash } from '../log/hash.ts';
import { rootFromInclusion } from '../log/proof.ts';
import { headerText, type ParsedRecord, parseRecord } from '../record/parse.ts';
import { signEs256 } from '../record/signature.ts';
import type { RecordId } from '../record.ts';
import type { EvidenceCode } from './codes.ts';
import {
  type EvidenceEntry,
  type EvidencePart,
  formatEvidence,
  formatEvidenceLine,
} from './format.ts';
import { parseEvidenceLine } from './parse.ts';

/**
 * What a holder of an evidence file can do to it, without any key of the swarm. Who has the log's key
 * can sign a second history: witnesses do not cosign it, and beside the first it is a fork.
 */
export const TAMPERINGS = {
  edit: 'changes what the first cause said',
  drop: 'leaves out a cause',
  reorder: 'exchanges the places of two records in the ledger',
  backdate: 'lets the action have happened an hour earlier',
  'swap-key': 'signs the action anew with another key',
  truncate: 'cuts off the newest record and what follows, and claims no more',
  fork: 'shows a ledger of its own, in which an entry is another',
  frame: 'lets another member have done the action',
} as const;
export type Tampering = keyof typeof TAMPERINGS;

type EntryPart = Extract<EvidencePart, { readonly kind: 'entry' }>;

/**
 * An evidence file as it is after that. Acts on the file alone, as anybody could who passes it on;
 * `key` is a P-256 key of the forger's own.
 */
export function tamper(
  text: string,
  how: Tampering,
  key: KeyObject,
): Outcome<string, EvidenceCode> {
  const lines = (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
  const parts: EvidencePart[] = [];
  for (const [index, line] of lines.entries()) {
    const parsed = parseEvidenceLine(line, index === 0);
    if (!parsed.ok) return parsed;
    parts.push(...parsed.value);
  }
  const changed = change(parts, how, key);
  if (changed === undefined)
    return refuse('EVIDENCE_MALFORMED', 'the file holds no record to change');
  const bulk = lines.length > 1;
  return accept(bulk ? changed.map(formatEvidenceLine).join('') : formatEvidence(changed));
}

function change(
  parts: readonly EvidencePart[],
  how: Tampering,
  key: KeyObject,
): readonly EvidencePart[] | undefined {
  const records = parts.filter(
    (part): part is EntryPart => part.kind === 'entry' && part.entry.leaf.type === 'record',
  );
  const header = parts.find((part) => part.kind === 'header')?.header;
  // The ledger enters what it hears, a question now and then before the reading that it is about.
  const first = records.find(({ entry }) => recordOf(entry)?.claims.par.length === 0) ?? records[0];
  const action = records.find(({ entry }) => entry.id === header?.action) ?? records.at(-1);
  if (first === undefined || action === undefined) return undefined;
  const put = (old: EntryPart, entry: EvidenceEntry) =>
    parts.map((part) => (part === old ? { ...old, entry } : part));

  switch (how) {
    case 'edit':
      return put(first, edited(first.entry));
    case 'drop':
      return parts.filter((part) => part !== (records.find((one) => one !== action) ?? action));
    case 'truncate':
      return ended(parts.slice(0, parts.indexOf(action)));
    case 'reorder':
      return exchanged(parts, first, records.find((one) => one !== first) ?? first);
    case 'backdate': {
      const earlier = (claims: Claims) => ({
        ...claims,
        iat: Number(claims.iat) - 3600,
        exp: Number(claims.exp) - 3600,
      });
      return renamed(put(action, rewritten(action.entry, earlier)), action.entry);
    }
    case 'frame': {
      const other = recordOf(records.find(({ entry }) => by(entry) !== by(action.entry))?.entry);
      const iss = other?.claims.iss ?? 'spiffe://city.example/agent/action/north/somebody-else';
      const framed = rewritten(action.entry, (claims) => ({ ...claims, iss }), other?.thumbprint);
      return renamed(put(action, framed), action.entry);
    }
    case 'swap-key':
      return renamed(
        put(
          action,
          rewritten(action.entry, (c) => c, undefined, key),
        ),
        action.entry,
      );
    case 'fork':
      return forked(parts, first);
    default:
      return how satisfies never;
  }
}

/** The range, which nothing signs, ends with the entry that is now the last. */
function ended(parts: readonly EvidencePart[]): readonly EvidencePart[] {
  const last = parts.findLast((part) => part.kind === 'entry')?.entry.leaf.index;
  return parts.map((part) => {
    const range = part.kind === 'header' ? part.header.range : undefined;
    if (part.kind !== 'header' || range === undefined) return part;
    const to = last === undefined ? range.from : last + 1;
    return { ...part, header: { ...part.header, range: { ...range, to } } };
  });
}

type Claims = Readonly<Record<string, CanonicalValue>>;

const by = ({ leaf }: EvidenceEntry): string => ('by' in leaf ? leaf.by : '');

function recordOf(entry: EvidenceEntry | undefined): ParsedRecord | undefined {
  if (entry === undefined || !('jws' in entry.leaf)) return undefined;
  const record = parseRecord(entry.leaf.jws);
  return record.ok ? record.value : undefined;
}

function edited(entry: EvidenceEntry): EvidenceEntry {
  const { opened } = entry;
  if (opened === undefined) return rewritten(entry, (claims) => ({ ...claims, txn: 'edited' }));
  const payload = Uint8Array.from(opened.payload.length === 0 ? [32] : opened.payload);
  payload[0] = (payload[0] ?? 0) ^ 1;
  return { ...entry, opened: { ...opened, payload } };
}

/** Other claims under the old signature, or signed anew; the id becomes that of the new text. */
function rewritten(
  entry: EvidenceEntry,
  rewrite: (claims: Claims) => Claims,
  thumbprint?: string,
  key?: KeyObject,
): EvidenceEntry {
  const record = recordOf(entry);
  const { leaf } = entry;
  if (record === undefined || leaf.type !== 'record') return entry;
  const claims = rewrite({ ...record.claims } as unknown as Claims);
  const input = [headerText(thumbprint ?? record.thumbprint), canonicalText(claims)]
    .map((part) => Buffer.from(part, 'utf8').toString('base64url'))
    .join('.');
  const signature = key === undefined ? record.signature : signEs256(key, input);
  const jws = `${input}.${encodeBase64Url(signature)}`;
  const parsed = parseRecord(jws);
  const at = claims.iat === record.claims.iat ? leaf.at : leaf.at - 3_600_000;
  const submitter = parsed.ok ? parsed.value.claims.iss : leaf.by;
  return {
    ...entry,
    ...(parsed.ok && { id: parsed.value.id }),
    leaf: { ...leaf, jws, at, by: submitter },
  };
}

/** The file is about the record under its new id: nothing else in it names it. */
function renamed(parts: readonly EvidencePart[], old: EvidenceEntry): readonly EvidencePart[] {
  const index = old.leaf.index;
  const now = parts.find((part) => part.kind === 'entry' && part.entry.leaf.index === index);
  const id: RecordId | undefined = now?.kind === 'entry' ? now.entry.id : undefined;
  return parts.map((part) =>
    part.kind === 'header' && part.header.action === old.id && id !== undefined
      ? { kind: 'header', header: { ...part.header, action: id } }
      : part,
  );
}

/** Each stands where the other stood, with the proof of that place. */
function exchanged(
  parts: readonly EvidencePart[],
  a: EntryPart,
  b: EntryPart,
): readonly EvidencePart[] {
  const moved = (what: EvidenceEntry, to: EvidenceEntry): EvidenceEntry => ({
    ...what,
    leaf: { ...what.leaf, index: to.leaf.index },
    size: to.size,
    path: to.path,
  });
  return parts.map((part) => {
    if (part === a) return { kind: 'entry', entry: moved(b.entry, a.entry) };
    if (part === b) return { kind: 'entry', entry: moved(a.entry, b.entry) };
    return part;
  });
}

/** An entry that the ledger never took, in a tree where it is: under the signatures of the real one. */
function forked(parts: readonly EvidencePart[], target: EntryPart): readonly EvidencePart[] {
  const { leaf, size, path } = target.entry;
  const other = { ...leaf, at: leaf.at + 1 };
  const root = rootFromInclusion({
    leaf: leafHash(leafText(other)),
    index: leaf.index,
    size,
    path,
  });
  return parts.map((part): EvidencePart => {
    if (part === target) return { kind: 'entry', entry: { ...target.entry, leaf: other } };
    if (part.kind !== 'checkpoint' || root === undefined) return part;
    const [origin, text, , ...rest] = part.checkpoint.note.split('\n');
    if (Number(text) !== size) return part;
    const note = [origin, text, encodeBase64(root), ...rest].join('\n');
    return { kind: 'checkpoint', checkpoint: { ...part.checkpoint, note } };
  });
}
