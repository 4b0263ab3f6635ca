import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ForkProof } from '#custody/log/fork.ts';
import { forkProofOf, formatForkProof, openForkFiles } from '#runtime/witness/forks.ts';
import { tempFolder } from '../support.ts';

let folder = '';
let remove: () => Promise<void>;
beforeEach(async () => {
  ({ path: folder, remove } = await tempFolder());
});
afterEach(() => remove());

const proof = (mark: string): ForkProof => ({
  origin: 'city.example/ledger',
  first: `first ${mark}`,
  second: `second ${mark}`,
  path: [Buffer.alloc(32, 1), Buffer.alloc(32, 2)],
});

test('a proof is read as it was written, and what is none is not', () => {
  const one = proof('a');
  const json = JSON.parse(formatForkProof(one)) as Record<string, unknown>;
  expect(forkProofOf(json)).toEqual(one);
  for (const bad of [null, 1, [], 'x', {}, { ...json, path: ['?'] }, { ...json, path: 'x' }]) {
    expect(forkProofOf(bad)).toBeUndefined();
  }
  for (const member of Object.keys(json)) {
    expect(forkProofOf({ ...json, [member]: 7 }), member).toBeUndefined();
  }
});

test('each proof is kept once, over restarts, and a forger fills neither disk nor memory with them', async () => {
  const files = await openForkFiles(folder);
  expect(await files.keep(proof('x'.repeat(100_000)))).toBe(true);
  expect(await files.keep(proof('a'))).toBe(true);
  expect(await files.keep(proof('a'))).toBe(false);
  expect(await files.keep(proof('y'.repeat(100_000)))).toBe(false);
  for (let index = 0; index < 100; index += 1) await files.keep(proof(String(index)));
  expect(files.all()).toHaveLength(64);
  expect((await openForkFiles(folder)).all()).toHaveLength(64);

  const fresh = await openForkFiles(join(folder, 'of another'));
  expect(await fresh.keep(proof('x'.repeat(200_000))), 'the first, whatever its size').toBe(true);
  expect(await fresh.keep(proof('a'))).toBe(false);
});
