import { createHash } from 'node:crypto';
import { signCheckpoint } from '#custody/log/checkpoint.ts';
import type { ForkProof } from '#custody/log/fork.ts';
import { createNoteSigner, type KeyUse, privateKeyFromSeed } from '#custody/log/keys.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import type { WitnessMemory, WitnessStore } from '#custody/log/witness.ts';

export const ORIGIN = 'city.example/ledger';

/** A signer whose key is made from its name: the same in every run. */
export function noteSigner(name: string, use: KeyUse = 'note', variant = '') {
  const seed = createHash('sha256').update(`${name} ${use} ${variant}`).digest();
  return createNoteSigner({ name, use, key: privateKeyFromSeed(seed) });
}

export const logSigner = noteSigner(ORIGIN);
export const witnessSigners = ['w1', 'w2', 'w3'].map((name) =>
  noteSigner(`city.example/${name}`, 'cosignature'),
);

export function memoryWitnessStore() {
  const memories = new Map<string, WitnessMemory>();
  const raised: ForkProof[] = [];
  const state = { fail: false };
  const store: WitnessStore = {
    read: async (origin) => memories.get(origin),
    write: async (origin, memory) => {
      if (state.fail) throw new Error('disk full');
      memories.set(origin, memory);
    },
    raise: async (proof) => {
      raised.push(proof);
    },
  };
  return { ...store, memories, raised, state };
}

/** A log of the given entries, and its head signed at any size. */
export function testLog(entries: readonly string[] = [], signer = logSigner) {
  const tree = createMerkleTree(createMemoryHashStore());
  for (const entry of entries) tree.append(entry);
  const head = (size = tree.size()) =>
    signCheckpoint({ origin: ORIGIN, size, root: tree.root(size) }, signer);
  return { tree, head };
}
