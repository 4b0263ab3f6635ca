import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { decodeBase64, encodeBase64 } from '../base64url.ts';
import { canonicalise } from '../canonical.ts';
import { type LogPolicy, openCheckpoint, witnessedAt } from '../log/checkpoint.ts';
import type { NoteCode } from '../log/codes.ts';
import { leafHash } from '../log/hash.ts';
import { MAX_PROOF, verifyInclusion } from '../log/proof.ts';
import { parseRecord } from '../record/parse.ts';
import type { RecordId } from '../record.ts';
import { parseLeaf } from './leaf.ts';

/** What shows that an entry is in a witnessed tree, as the ledger answers who asks for it. */
export interface RecordedProof {
  readonly index: number;
  /** The leaf's text, as the tree hashes it. */
  readonly entry: string;
  /** Hashes, base64, from the leaf's sibling up. */
  readonly path: readonly string[];
  /** A signed note that a quorum cosigned. */
  readonly checkpoint: string;
}

export function recordedProof(proof: {
  readonly index: number;
  readonly leaf: string;
  readonly path: readonly Uint8Array[];
  readonly checkpoint: string;
}): RecordedProof {
  const { index, leaf, path, checkpoint } = proof;
  return { index, entry: leaf, path: path.map(encodeBase64), checkpoint };
}

export type RecordedCode = 'LEDGER_PROOF_INVALID' | 'LEDGER_PROOF_STALE' | NoteCode;

/** Where the ledger holds a record, and the trusted time of the tree that shows it, in seconds. */
export interface RecordedPlace {
  readonly index: number;
  readonly size: number;
  readonly time: number;
}

/**
 * Judges what the ledger answered, by pinned keys alone. Neither its word counts, nor that of the
 * broker which brought it: the record asked for is a leaf of a tree that the log signed and a quorum
 * of the witnesses has cosigned not long ago.
 */
export function verifyRecorded(
  answer: unknown,
  asked: {
    readonly id: RecordId;
    readonly policy: LogPolicy;
    /** Milliseconds since the epoch. */
    readonly now: number;
    readonly maxAgeMs: number;
  },
): Outcome<RecordedPlace, RecordedCode> {
  const invalid = (detail: string) => refuse('LEDGER_PROOF_INVALID' as const, detail);
  const proof = parseProof(answer);
  if (proof === undefined) return invalid('the answer is not index, entry, path and checkpoint');
  const { index, entry, path, checkpoint } = proof;
  const leaf = readLeaf(entry);
  if (leaf?.type !== 'record' || leaf.index !== index) {
    return invalid('the entry is not a record at that index');
  }
  const record = parseRecord(leaf.jws);
  if (!record.ok || record.value.id !== asked.id) return invalid('the entry is another record');
  const opened = openCheckpoint(checkpoint, asked.policy);
  if (!opened.ok) return opened;
  const time = witnessedAt(opened.value, asked.policy.quorum);
  if (!time.ok) return time;
  const { size, root } = opened.value;
  if (!verifyInclusion({ leaf: leafHash(entry), index, size, path }, root)) {
    return invalid('the path does not lead from the entry to the witnessed tree');
  }
  // Whoever withholds newer trees, or the witnesses from each other, shows an old one.
  if (asked.now - time.value * 1000 > asked.maxAgeMs) {
    const seconds = Math.round(asked.now / 1000 - time.value);
    return refuse('LEDGER_PROOF_STALE', `the tree was witnessed ${seconds} s ago`);
  }
  return accept({ index, size, time: time.value });
}

function readLeaf(text: string) {
  try {
    const value: unknown = JSON.parse(text);
    if (canonicalise(value) !== text) return undefined;
    const leaf = parseLeaf(value);
    return leaf.ok ? leaf.value : undefined;
  } catch {
    return undefined;
  }
}

function parseProof(value: unknown) {
  const { index, entry, path, checkpoint } = Object(value) as Readonly<Record<string, unknown>>;
  if (!Number.isSafeInteger(index) || typeof entry !== 'string') return undefined;
  if (!Array.isArray(path) || path.length > MAX_PROOF) return undefined;
  if (typeof checkpoint !== 'string') return undefined;
  const hashes: Uint8Array[] = [];
  for (const hash of path) {
    const bytes = typeof hash === 'string' ? decodeBase64(hash) : undefined;
    if (bytes === undefined) return undefined;
    hashes.push(bytes);
  }
  return { index: Number(index), entry, path: hashes, checkpoint };
}
