import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { decodeBase64, encodeBase64 } from '../base64url.ts';
import type { NoteCode } from './codes.ts';
import { HASH_BYTES } from './hash.ts';
import { MAX_PROOF } from './proof.ts';

/** That something is in a log, for verifiers that know nothing of custody records. */
export interface TlogProof {
  readonly index: number;
  readonly path: readonly Uint8Array[];
  /** A signed note. */
  readonly checkpoint: string;
}

const FIRST_LINE = 'c2sp.org/tlog-proof@v1';
const INDEX = /^index (0|[1-9][0-9]{0,15})$/;

/** The text of c2sp.org/tlog-proof, without extra data. */
export function formatTlogProof({ index, path, checkpoint }: TlogProof): string {
  const hashes = path.map((hash) => `${encodeBase64(hash)}\n`).join('');
  return `${FIRST_LINE}\nindex ${index}\n${hashes}\n${checkpoint}`;
}

/** Reads such a text. Extra data, which nothing authenticates, is refused. */
export function parseTlogProof(text: string): Outcome<TlogProof, NoteCode> {
  const malformed = (detail: string) => refuse('NOTE_MALFORMED' as const, detail);
  const blank = text.indexOf('\n\n');
  const [first, second = '', ...lines] = text.slice(0, Math.max(0, blank)).split('\n');
  const index = Number(INDEX.exec(second)?.[1]);
  if (first !== FIRST_LINE || !Number.isSafeInteger(index)) {
    return malformed(`not of the form ${FIRST_LINE}`);
  }
  if (lines.length > MAX_PROOF) return malformed(`a proof has at most ${MAX_PROOF} hashes`);
  const path: Uint8Array[] = [];
  for (const line of lines) {
    const hash = decodeBase64(line);
    if (hash?.length !== HASH_BYTES) return malformed('a line of the proof is not a hash');
    path.push(hash);
  }
  return accept({ index, path, checkpoint: text.slice(blank + 2) });
}
