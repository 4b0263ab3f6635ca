import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { decodeBase64, encodeBase64 } from '../base64url.ts';
import type { NoteCode } from './codes.ts';

/** One line below a note. Whose it is, is claimed by name and id, and proven by verifying it. */
export interface NoteSignature {
  readonly name: string;
  /** 4 bytes, lower-case hex. */
  readonly keyId: string;
  /** What follows the id: 64 bytes of Ed25519, after 8 of time in a cosignature. */
  readonly signature: Uint8Array;
}

/** A signed note (c2sp.org/signed-note). The text ends in a newline; believe it when verified. */
export interface Note {
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export const MAX_NOTE_CHARACTERS = 65_536;
/** The format asks readers for 16; witnesses of two generations fit. */
const MAX_SIGNATURES = 64;
const KEY_ID_BYTES = 4;
const DASH = '\u2014 ';
// biome-ignore lint/suspicious/noControlCharactersInRegex: the format forbids exactly these
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/;
/** No Unicode space and no plus: the name could not be told from what follows it. */
const KEY_NAME = /^[^\s\u0085+]+$/u;

export function isKeyName(text: string): boolean {
  return KEY_NAME.test(text) && !CONTROL.test(text);
}

/** Parses any text; proves nothing. */
export function parseNote(note: string): Outcome<Note, NoteCode> {
  const malformed = (detail: string) => refuse('NOTE_MALFORMED' as const, detail);
  if (note.length > MAX_NOTE_CHARACTERS) {
    return malformed(`a note has at most ${MAX_NOTE_CHARACTERS} characters`);
  }
  if (!note.isWellFormed() || CONTROL.test(note))
    return malformed('a control character, or not UTF-8');
  const blank = note.lastIndexOf('\n\n');
  if (blank === -1 || !note.endsWith('\n')) return malformed('no blank line before the signatures');
  const lines = note.slice(blank + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) return malformed(`more than ${MAX_SIGNATURES} signatures`);
  const signatures: NoteSignature[] = [];
  for (const line of lines) {
    const signature = parseSignatureLine(line);
    if (signature === undefined) return malformed('a line below the text is not a signature');
    signatures.push(signature);
  }
  return accept({ text: note.slice(0, blank + 1), signatures });
}

/** `— name base64(id ‖ signature)`, without its newline. */
export function parseSignatureLine(line: string): NoteSignature | undefined {
  if (!line.startsWith(DASH)) return undefined;
  const [name = '', encoded = '', ...more] = line.slice(DASH.length).split(' ');
  const bytes = decodeBase64(encoded);
  if (more.length > 0 || !isKeyName(name) || bytes === undefined) return undefined;
  if (bytes.length <= KEY_ID_BYTES) return undefined;
  return {
    name,
    keyId: Buffer.from(bytes.subarray(0, KEY_ID_BYTES)).toString('hex'),
    signature: bytes.subarray(KEY_ID_BYTES),
  };
}

/** One line with its newline. */
export function formatSignature({ name, keyId, signature }: NoteSignature): string {
  const bytes = Buffer.concat([Buffer.from(keyId, 'hex'), signature]);
  return `${DASH}${name} ${encodeBase64(bytes)}\n`;
}

/** @throws Error when the text cannot stand in a note: a bug. */
export function formatNote({ text, signatures }: Note): string {
  const note = `${text}\n${signatures.map(formatSignature).join('')}`;
  const parsed = parseNote(note);
  if (!parsed.ok || parsed.value.text !== text) throw new Error('the text cannot stand in a note');
  return note;
}
