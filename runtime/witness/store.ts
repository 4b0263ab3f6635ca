import type { KeyObject } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createNoteSigner, type NoteSigner } from '#custody/log/keys.ts';
import type { WitnessMemory, WitnessStore } from '#custody/log/witness.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { writeDurably } from '../durable-file.ts';
import { openKeyFile, openPinnedKeyFile } from '../key-file.ts';
import { openForkFiles } from './forks.ts';
import { formatMemories, type Memories, parseMemories } from './memory.ts';

/** What a witness keeps in its folder. One process at a time has it. */
export interface WitnessFiles {
  readonly signer: NoteSigner;
  readonly store: WitnessStore;
  /** Proofs of forks, as JSON, oldest first by name. */
  forks(): readonly string[];
}

const KEY_FILE = 'witness.key';
const MEMORY_FILE = 'memory';
const FORK_FOLDER = 'forks';

const missing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (missing(error)) return false;
    throw error;
  }
}

/** @param began whether it must be there, because this witness may have cosigned */
async function openMemory(
  path: string,
  began: boolean,
): Promise<Outcome<Memories, 'WITNESS_MEMORY_DAMAGED'>> {
  // An older copy put back would be a memory that has forgotten: that is no way out.
  const damaged = (what: string) =>
    refuse(
      'WITNESS_MEMORY_DAMAGED' as const,
      `${path}: ${what}; replace this witness by another with 'swarmproof custody rollover'`,
    );
  try {
    const memories = parseMemories(await readFile(path, 'utf8'));
    return memories === undefined ? damaged('is damaged') : accept(memories);
  } catch (error) {
    if (!missing(error)) throw error;
  }
  if (began) return damaged('is missing, though this witness has a key');
  await writeDurably(path, formatMemories(new Map()));
  return accept(new Map());
}

/**
 * Opens the folder of a witness, filled at its first start: memory first, key last, so that where a
 * key is, a memory must be. One that is lost or damaged is never begun anew: a witness that forgot
 * what it cosigned cosigns the other history.
 * @throws what the file system says when the folder cannot be read at all
 */
export async function openWitnessFiles(options: {
  /** Absolute path of a folder of its own. */
  readonly folder: string;
  /** Name of its key in cosignatures. */
  readonly keyName: string;
  /** Its own verifier key, where others have pinned it. */
  readonly pinned?: string | undefined;
  /** One more fork was proven. */
  readonly onFork: (origin: string) => void;
}): Promise<Outcome<WitnessFiles, 'KEY_FILE_UNUSABLE' | 'WITNESS_MEMORY_DAMAGED'>> {
  const { folder, keyName, pinned, onFork } = options;
  const keyPath = join(folder, KEY_FILE);
  const memoryPath = join(folder, MEMORY_FILE);
  const signerOf = (key: KeyObject): NoteSigner =>
    createNoteSigner({ name: keyName, use: 'cosignature', key });
  const memories = await openMemory(memoryPath, await exists(keyPath));
  if (!memories.ok) return memories;
  const key =
    pinned === undefined
      ? await openKeyFile(keyPath, memories.value.size > 0 ? 'refuse' : 'make')
      : await openPinnedKeyFile(keyPath, (one) => signerOf(one).verifier.vkey === pinned);
  if (!key.ok) return key;
  const files = await openForkFiles(join(folder, FORK_FOLDER));
  const current = new Map<string, WitnessMemory>(memories.value);
  /** The tail of the writes: logs are judged side by side, and share one file. */
  let writing: Promise<unknown> = Promise.resolve();
  const write = async (origin: string, memory: WitnessMemory): Promise<void> => {
    await writeDurably(memoryPath, formatMemories(new Map(current).set(origin, memory)));
    current.set(origin, memory);
  };
  return accept({
    signer: signerOf(key.value),
    forks: () => files.all(),
    store: {
      read: async (origin) => current.get(origin),
      write: (origin, memory) => {
        const done = writing.then(() => write(origin, memory));
        writing = done.catch(() => {});
        return done;
      },
      raise: async (proof) => {
        // Told also when it cannot be kept: a full disk must not hide a fork.
        const keeping = files.keep(proof);
        keeping.then(
          (fresh) => fresh && onFork(proof.origin),
          () => onFork(proof.origin),
        );
        await keeping;
      },
    },
  });
}
