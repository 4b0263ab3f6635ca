import { chmod, mkdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createWitnessClient } from '#runtime/witness/client.ts';
import { noteSigner, testLog } from '#test/custody/log/support.ts';
import { entries, KEY_NAME, type Place, places, request } from './support.ts';

const place = places();

const clientOf = ({ socketPath }: Place) =>
  createWitnessClient({ name: 'w', socketPath, timeoutMs: 30_000 });

/** A witness that has cosigned five entries, ended. */
async function begun() {
  const at = await place();
  const first = await at.start();
  const log = testLog(entries(5));
  const client = clientOf(at);
  expect(await client.add(request(log, 0))).toMatchObject({ ok: true });
  await first.close();
  const memory = join(at.folder, 'memory');
  return { ...at, log, client, vkey: first.vkey, memory };
}

describe('a witness', () => {
  test('keeps key and memory over restarts, both private', async () => {
    const { start, client, log, vkey, folder, memory } = await begun();
    expect((await start()).vkey).toBe(vkey);
    log.tree.append('one more');
    expect(await client.add(request(log, 0))).toMatchObject({ size: 5 });
    expect(await client.add(request(log, 5))).toMatchObject({ ok: true });
    for (const path of [memory, join(folder, 'witness.key')]) {
      expect((await stat(path)).mode & 0o777).toBe(0o600);
    }
  });

  test('keeps proofs of forks over restarts, and says at each start that it has them', async () => {
    const { start, client, log, forks } = await begun();
    const again = await start();
    const other = testLog(entries(5, '!'));
    const fork = { ...request(other, 5), proof: [] };
    expect(await client.add(fork)).toMatchObject({ code: 'WITNESS_FORK' });
    await again.close();
    expect(forks).toHaveLength(1);
    await start();
    expect(forks).toHaveLength(2);
    expect(await client.forks()).toMatchObject([{ first: log.head(), second: other.head() }]);
  });

  test('does not start on a memory in which any byte is another', async () => {
    const { open, start, memory } = await begun();
    const good = await readFile(memory);
    for (let index = 0; index < good.length; index += 1) {
      const bad = Buffer.from(good);
      bad[index] = (bad[index] ?? 0) ^ 1;
      await writeFile(memory, bad);
      expect(await open(), `byte ${index}`).toMatchObject({ code: 'WITNESS_MEMORY_DAMAGED' });
    }
    for (const length of [0, 1, good.length - 1]) {
      await writeFile(memory, good.subarray(0, length));
      expect(await open()).toMatchObject({ code: 'WITNESS_MEMORY_DAMAGED' });
    }
    await writeFile(memory, good);
    await start();
  });

  test('does not start without its memory once it has a key, nor without its key', async () => {
    const { open, start, memory, folder } = await begun();
    await rename(memory, `${memory}.away`);
    expect(await open()).toMatchObject({
      code: 'WITNESS_MEMORY_DAMAGED',
      detail: expect.stringContaining('is missing, though this witness has begun'),
    });
    await rename(`${memory}.away`, memory);
    const key = join(folder, 'witness.key');
    await rename(key, `${key}.away`);
    expect(await open()).toMatchObject({ code: 'KEY_FILE_UNUSABLE' });
    await writeFile(key, 'not a key');
    expect(await open()).toMatchObject({ code: 'KEY_FILE_UNUSABLE' });
    await rename(`${key}.away`, key);
    await start();
  });

  test('does not start with another key than the pinned one', async () => {
    const { open, start, vkey } = await begun();
    const other = noteSigner(KEY_NAME, 'cosignature', 'other').verifier.vkey;
    expect(await open({ pinned: other })).toMatchObject({ code: 'KEY_FILE_UNUSABLE' });
    await start({ pinned: vkey });
  });

  test('overwrites what a crash left beside its memory', async () => {
    const { start, client, log, memory } = await begun();
    await writeFile(`${memory}.new`, 'half of a');
    await start();
    log.tree.append('one more');
    expect(await client.add(request(log, 5))).toMatchObject({ ok: true });
  });
});

describe('a witness that cannot store signs nothing', () => {
  const broken: readonly [string, (aside: string) => Promise<unknown>, boolean][] = [
    ['on a full disk', (aside) => symlink('/dev/full', aside), process.platform === 'linux'],
    ['where a folder is in the way', (aside) => mkdir(aside), true],
    [
      'in a folder that cannot be written',
      (aside) => chmod(join(aside, '..'), 0o500),
      process.getuid?.() !== 0,
    ],
  ];
  for (const [what, spoil, can] of broken) {
    test.runIf(can)(`${what}, and goes on from what it knew when it can again`, async () => {
      const { start, client, log, memory, folder, cosigned } = await begun();
      const witness = await start();
      log.tree.append('one more');
      await spoil(`${memory}.new`);
      expect(await client.add(request(log, 5))).toMatchObject({ code: 'WITNESS_STORAGE_FAILED' });
      expect(await client.add(request(log, 0))).toMatchObject({ size: 5 });
      expect(cosigned).toEqual([5]);
      await chmod(folder, 0o700);
      await rm(`${memory}.new`, { recursive: true, force: true });
      expect(await client.add(request(log, 5))).toMatchObject({ ok: true });
      await witness.close();
      await start();
      expect(await client.add(request(log, 0))).toMatchObject({ size: 6 });
    });
  }

  test('a fork that cannot be kept is refused and told all the same', async () => {
    const { start, client, forks, folder } = await begun();
    await start();
    await rm(join(folder, 'forks'), { recursive: true });
    const other = testLog(entries(5, '!'));
    const answer = await client.add({ ...request(other, 5), proof: [] });
    expect(answer.ok).toBe(false);
    expect(forks).toHaveLength(1);
  });
});
