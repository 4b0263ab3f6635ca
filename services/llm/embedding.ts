import { createHash } from 'node:crypto';

/** Name by which the embedding is asked for, and its length. */
export const EMBEDDING_MODEL = 'hash-256';
export const EMBEDDING_DIMENSION = 256;

/** Words say the most; n-grams let "flooded" meet "flooding". */
const WORD_WEIGHT = 1;
const GRAM_WEIGHT = 0.35;
const GRAM = 4;
const STOP_WORDS: ReadonlySet<string> = new Set(
  'a an and are as at be by for from has in is it its of on or than that the this to was with'.split(
    ' ',
  ),
);

/**
 * Deterministic embedding by feature hashing (Weinberger et al., 2009): each word and each
 * character 4-gram adds a signed weight to one of 256 buckets; the result has length 1. It knows
 * spelling and nothing of meaning: synonyms meet only where the stored text names them.
 */
export function embed(text: string): Float32Array {
  const vector = new Float32Array(EMBEDDING_DIMENSION);
  const words =
    text
      .toLowerCase()
      .normalize('NFKC')
      .match(/[\p{L}\p{N}]+/gu) ?? [];
  for (const word of words) {
    if (STOP_WORDS.has(word)) continue;
    add(vector, `w:${word}`, WORD_WEIGHT);
    const padded = ` ${word} `;
    for (let start = 0; start + GRAM <= padded.length; start += 1) {
      add(vector, `g:${padded.slice(start, start + GRAM)}`, GRAM_WEIGHT);
    }
  }
  return normalise(vector);
}

function add(vector: Float32Array, feature: string, weight: number): void {
  const digest = createHash('sha256').update(feature).digest();
  const bucket = digest.readUInt32BE(0) % EMBEDDING_DIMENSION;
  const sign = ((digest[4] ?? 0) & 1) === 0 ? 1 : -1;
  vector[bucket] = (vector[bucket] ?? 0) + sign * weight;
}

function normalise(vector: Float32Array): Float32Array {
  let sum = 0;
  for (const value of vector) sum += value * value;
  // A text without words has no direction; a fixed one keeps cosine distance defined.
  if (sum === 0) {
    vector[0] = 1;
    return vector;
  }
  const length = Math.sqrt(sum);
  return vector.map((value) => value / length);
}
