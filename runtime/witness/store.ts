import type { KeyObject } from 'node:crypto';
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createNoteSigner, type NoteSigner } from '#custody/log/keys.ts';
import type { WitnessMemory, WitnessStore } from '#custody/log/witness.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { writeDurably } from '../durable-file.ts';
import { makeKeyFile, nextKeyFile, openKeyFile, openPinnedKeyFile } from '../key-file.ts';
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
const NEXT_MEMORY_FILE = 'memory.next';
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
  if (began) return damaged('is missing, though this witness has begun');
  await writeDurably(path, formatMemories(new Map()));
  return accept(new Map());
}

/** What a witness is: its key, and what it remembers of each log. */
export interface WitnessSelf {
  readonly signer: NoteSigner;
  readonly memories: Memories;
}

export interface WitnessPlace {
  /** Absolute path of a folder of its own. */
  readonly folder: string;
  /** Name of its key in cosignatures. */
  readonly keyName: string;
  /** Its own verifier key, where others have pinned it. */
  readonly pinned?: string | undefined;
}

type SelfCode = 'KEY_FILE_UNUSABLE' | 'WITNESS_MEMORY_DAMAGED';

/**
 * Reads key and memory, made at the first start: memory first, key last, so that where a key is, a
 * memory must be. One that is lost or damaged is never begun anew: a witness that forgot what it
 * cosigned cosigns the other history.
 * @throws what the file system says when the folder cannot be read at all
 */
export async function openWitnessSelf(
  place: WitnessPlace,
): Promise<Outcome<WitnessSelf, SelfCode>> {
  const { folder, keyName, pinned } = place;
  const keyPath = join(folder, KEY_FILE);
  const signerOf = (key: KeyObject): NoteSigner =>
    createNoteSigner({ name: keyName, use: 'cosignature', key });
  const isPinned = (key: KeyObject): boolean => signerOf(key).verifier.vkey === pinned;
  if (pinned !== undefined) await finishReplacement(folder, isPinned);
  const began = pinned !== undefined || (await exists(keyPath));
  const memories = await openMemory(join(folder, MEMORY_FILE), began);
  if (!memories.ok) return memories;
  const key =
    pinned === undefined
      ? await openKeyFile(keyPath, memories.value.size > 0 ? 'refuse' : 'make')
      : await openPinnedKeyFile(keyPath, isPinned);
  if (!key.ok) return key;
  return accept({ signer: signerOf(key.value), memories: memories.value });
}

/**
 * Makes the key that is to follow, for `openWitnessSelf` to take when it is pinned. With a memory it
 * is another witness that begins there, whatever the one before remembered.
 */
export async function prepareWitness(
  { folder, keyName }: WitnessPlace,
  memories?: Memories,
): Promise<Outcome<NoteSigner, 'KEY_FILE_UNUSABLE'>> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const nextKey = nextKeyFile(join(folder, KEY_FILE));
  const nextMemory = join(folder, NEXT_MEMORY_FILE);
  // The key goes first: while there is none, no memory that lies here is taken.
  await rm(nextKey, { force: true });
  await rm(nextMemory, { force: true });
  if (memories !== undefined) await writeDurably(nextMemory, formatMemories(memories));
  const key = await makeKeyFile(nextKey);
  if (!key.ok) return key;
  return accept(createNoteSigner({ name: keyName, use: 'cosignature', key: key.value }));
}

/** A successor that is pinned takes its memory first and its key last: half of it is none. */
async function finishReplacement(
  folder: string,
  isPinned: (key: KeyObject) => boolean,
): Promise<void> {
  const next = await openKeyFile(nextKeyFile(join(folder, KEY_FILE)), 'refuse');
  if (!next.ok || !isPinned(next.value)) return;
  try {
    await rename(join(folder, NEXT_MEMORY_FILE), join(folder, MEMORY_FILE));
  } catch (error) {
    if (!missing(error)) throw error;
  }
}

/** Opens all that a witness keeps. @throws as `openWitnessSelf` */
export async function openWitnessFiles(
  place: WitnessPlace & {
    /** One more fork was proven. */
    readonly onFork: (origin: string) => void;
  },
): Promise<Outcome<WitnessFiles, SelfCode>> {
  const { folder, onFork } = place;
  const self = await openWitnessSelf(place);
  if (!self.ok) return self;
  const { signer, memories } = self.value;
  const memoryPath = join(folder, MEMORY_FILE);
  const files = await openForkFiles(join(folder, FORK_FOLDER));
  const current = new Map<string, WitnessMemory>(memories);
  /** The tail of the writes: logs are judged side by side, and share one file. */
  let writing: Promise<unknown> = Promise.resolve();
  const write = async (origin: string, memory: WitnessMemory): Promise<void> => {
    await writeDurably(memoryPath, formatMemories(new Map(current).set(origin, memory)));
    current.set(origin, memory);
  };
  return accept({
    signer,
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
