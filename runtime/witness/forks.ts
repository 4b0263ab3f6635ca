import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeBase64, encodeBase64 } from '#custody/base64url.ts';
import type { ForkProof } from '#custody/log/fork.ts';
import { writeDurably } from '../durable-file.ts';

/**
 * One is enough to convict, and is kept whatever its size; a forger with the log's key must not fill
 * the disk with more, nor the memory of a witness that is asked for them.
 */
const MAX_KEPT = 64;
const MAX_CHARACTERS = 256 * 1024;
const NAME = /^[0-9a-f]{32}\.json$/;

export function formatForkProof({ origin, first, second, path }: ForkProof): string {
  return `${JSON.stringify({ origin, first, second, path: path.map(encodeBase64) })}\n`;
}

/** What `formatForkProof` wrote, parsed as JSON; what it proves is for `verifyFork` to say. */
export function forkProofOf(value: unknown): ForkProof | undefined {
  const { origin, first, second, path } = Object(value) as Readonly<Record<string, unknown>>;
  if (typeof origin !== 'string' || typeof first !== 'string' || typeof second !== 'string') {
    return undefined;
  }
  if (!Array.isArray(path)) return undefined;
  const hashes = path.map((hash) => (typeof hash === 'string' ? decodeBase64(hash) : undefined));
  if (!hashes.every((hash) => hash !== undefined)) return undefined;
  return { origin, first, second, path: hashes };
}

/** Proofs of forks in files, one each: what a witness shows to whoever asks. */
export interface ForkFiles {
  /** True when it is one more; false when it is known, or enough are kept. Resolves when durable. */
  keep(proof: ForkProof): Promise<boolean>;
  /** Each as `formatForkProof` wrote it. */
  all(): readonly string[];
}

export async function openForkFiles(folder: string): Promise<ForkFiles> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const kept = new Map<string, string>();
  for (const name of (await readdir(folder)).sort()) {
    if (NAME.test(name)) kept.set(name, await readFile(join(folder, name), 'utf8'));
  }
  const room = (text: string): boolean => {
    const held = [...kept.values()].reduce((sum, { length }) => sum + length, text.length);
    return kept.size === 0 || (kept.size < MAX_KEPT && held <= MAX_CHARACTERS);
  };
  return {
    keep: async (proof) => {
      const text = formatForkProof(proof);
      const name = `${createHash('sha256').update(text).digest('hex').slice(0, 32)}.json`;
      if (kept.has(name) || !room(text)) return false;
      await writeDurably(join(folder, name), text);
      kept.set(name, text);
      return true;
    },
    all: () => [...kept.values()],
  };
}
