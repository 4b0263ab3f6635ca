import { randomBytes } from 'node:crypto';
import { signCheckpoint } from '#custody/log/checkpoint.ts';
import { createNoteSigner, type KeyUse, privateKeyFromSeed } from '#custody/log/keys.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import { type BenchResult, micros } from './measure.ts';

export const ORIGIN = 'city.example/ledger';

function noteSigner(name: string, use: KeyUse) {
  return createNoteSigner({ name, use, key: privateKeyFromSeed(randomBytes(32)) });
}
export const log = noteSigner(ORIGIN, 'note');
export const witnesses = ['w1', 'w2'].map((name) =>
  noteSigner(`city.example/${name}`, 'cosignature'),
);

/** Costs of the tree and of its signed heads, on one thread. */
export function benchLog(): BenchResult[] {
  const tree = createMerkleTree(createMemoryHashStore());
  const entry = randomBytes(900);
  const size = 100_000;
  const append = micros(size, () => {
    for (let at = 0; at < size; at++) tree.append(entry);
  });
  const proof = micros(2000, () => {
    for (let at = 0; at < 2000; at++) tree.inclusion(at * 37, size - at);
  });
  const head = micros(500, () => {
    for (let at = 0; at < 500; at++)
      signCheckpoint({ origin: ORIGIN, size, root: tree.root() }, log);
  });
  return [
    { name: 'tree append, 900 B entry', value: append, unit: 'µs' },
    { name: 'inclusion proof out of 100,000', value: proof, unit: 'µs' },
    { name: 'checkpoint: root and signature at 100,000', value: head, unit: 'µs' },
  ];
}
