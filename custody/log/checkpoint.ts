import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { decodeBase64, encodeBase64 } from '../base64url.ts';
import type { NoteCode } from './codes.ts';
import { emptyRoot, HASH_BYTES, sameHash } from './hash.ts';
import { type NoteSigner, type VerifierKey, verifyNote } from './keys.ts';
import { formatNote, formatSignature, type Note, parseNote } from './note.ts';

/** A tree head (c2sp.org/tlog-checkpoint): what the log had become when it signed. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

const SIZE = /^(?:0|[1-9][0-9]{0,15})$/;

/** @throws Error when it is not a checkpoint that could be read again: a bug. */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  const text = `${origin}\n${size}\n${encodeBase64(root)}\n`;
  if (!parseCheckpoint(text).ok) throw new Error('checkpoint: not a checkpoint');
  return text;
}

/**
 * Parses the text of a note. Extension lines are refused: witnesses make no statement on them, and
 * this log writes none.
 */
export function parseCheckpoint(text: string): Outcome<Checkpoint, NoteCode> {
  const malformed = (detail: string) => refuse('CHECKPOINT_MALFORMED' as const, detail);
  const [origin = '', size = '', root = '', ...rest] = text.split('\n');
  if (rest.length !== 1 || rest[0] !== '') return malformed('a checkpoint has three lines');
  if (origin === '') return malformed('the origin is empty');
  if (!SIZE.test(size) || !Number.isSafeInteger(Number(size))) {
    return malformed('the size is not a decimal number');
  }
  const bytes = decodeBase64(root);
  if (bytes?.length !== HASH_BYTES) return malformed('the root is not 32 bytes in base64');
  if (size === '0' && !sameHash(bytes, emptyRoot())) {
    return malformed('the empty tree has the hash of nothing as its root');
  }
  return accept({ origin, size: Number(size), root: bytes });
}

/** A checkpoint as a signed note. */
export function signCheckpoint(checkpoint: Checkpoint, signer: NoteSigner): string {
  const text = formatCheckpoint(checkpoint);
  return formatNote({ text, signatures: [signer.sign(text)] });
}

/** The note with a witness's signature line below the others. */
export function addCosignature(note: string, line: string): string {
  return `${note}${line.endsWith('\n') ? line : `${line}\n`}`;
}

/** The line that a witness answers with. `time` in seconds since the epoch. */
export function cosign(text: string, signer: NoteSigner, time: number): string {
  return formatSignature(signer.sign(text, time));
}

/** Whom a reader believes about a log. */
export interface LogPolicy {
  readonly origin: string;
  /** Keys of the log; several while one replaces another. */
  readonly log: readonly VerifierKey[];
  readonly witnesses: readonly VerifierKey[];
  /** How many of the witnesses must have cosigned. */
  readonly quorum: number;
}

export interface SignedCheckpoint extends Checkpoint {
  /** What was signed. */
  readonly text: string;
  /** Known witnesses that cosigned, each once, with its earliest time in seconds; earliest first. */
  readonly cosignatures: readonly { readonly name: string; readonly time: number }[];
}

/** A checkpoint that the log signed. How many witnesses agree is for `witnessedAt` to say. */
export function openCheckpoint(
  given: string,
  policy: Pick<LogPolicy, 'origin' | 'log' | 'witnesses'>,
): Outcome<SignedCheckpoint, NoteCode> {
  const note = parseNote(given);
  if (!note.ok) return note;
  const checkpoint = parseCheckpoint(note.value.text);
  if (!checkpoint.ok) return checkpoint;
  if (checkpoint.value.origin !== policy.origin) {
    return refuse('CHECKPOINT_ORIGIN_MISMATCH', 'the checkpoint is of another log');
  }
  const log = verifyNote(note.value, policy.log);
  if (!log.ok) return log;
  if (log.value.length === 0) return refuse('NOTE_UNSIGNED', 'no known key of the log signed it');
  const cosignatures = cosignaturesOf(note.value, policy.witnesses);
  if (!cosignatures.ok) return cosignatures;
  const { text } = note.value;
  return accept({ ...checkpoint.value, text, cosignatures: cosignatures.value });
}

/** By public key: one witness under two names, or twice on one note, is one witness. */
export function cosignaturesOf(
  note: Note,
  witnesses: readonly VerifierKey[],
): Outcome<SignedCheckpoint['cosignatures'], NoteCode> {
  const signed = verifyNote(note, witnesses);
  if (!signed.ok) return signed;
  const earliest = new Map<string, { readonly name: string; readonly time: number }>();
  for (const { key, time } of signed.value) {
    if (time === undefined) continue;
    const id = key.vkey.slice(key.vkey.indexOf('+', key.name.length + 1) + 1);
    const before = earliest.get(id);
    if (before === undefined || time < before.time) earliest.set(id, { name: key.name, time });
  }
  return accept([...earliest.values()].sort((a, b) => a.time - b.time));
}

/**
 * The trusted time of a checkpoint, seconds: the quorum-th smallest of its cosignatures. One
 * honest witness among a quorum is enough that it is not earlier than the truth. Its own clock,
 * and the log's, are nobody's proof.
 */
export function witnessedAt(
  { cosignatures }: Pick<SignedCheckpoint, 'cosignatures'>,
  quorum: number,
): Outcome<number, NoteCode> {
  const time = cosignatures[quorum - 1]?.time;
  if (time !== undefined) return accept(time);
  const names = cosignatures.map(({ name }) => name).join(', ') || 'none';
  return refuse(
    'CHECKPOINT_QUORUM_MISSING',
    `${quorum} witnesses are asked for, cosigned: ${names}`,
  );
}
