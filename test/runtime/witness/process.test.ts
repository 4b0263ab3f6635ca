import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testLog } from '#test/custody/log/support.ts';
import { createWitnessBench } from './process.ts';
import { entries, request } from './support.ts';

let bench: Awaited<ReturnType<typeof createWitnessBench>>;
beforeAll(async () => {
  bench = await createWitnessBench();
});
afterAll(() => bench.clear());

test('a witness process tells its key, cosigns, raises a fork past the broker, and ends without a trace', async () => {
  const { start, client, said, socket, folder } = bench;
  const running = await start();
  const told = said.find(({ type }) => type === 'witness');
  expect(told).toMatchObject({ vkey: expect.stringMatching(/^city\.example\/witness-1\+/) });
  const log = testLog(entries(5));
  expect(await client.add(request(log, 0))).toMatchObject({ ok: true });
  const fork = { ...request(testLog(entries(5, '!')), 5), proof: [] };
  expect(await client.add(fork)).toMatchObject({ code: 'WITNESS_FORK' });
  await running.stop(30_000);
  expect(said.filter(({ type }) => type === 'cosigned')).toMatchObject([{ size: 5 }]);
  const alarms = said.filter(({ type }) => type === 'alarm');
  expect(alarms).toMatchObject([{ code: 'WITNESS_FORK' }]);
  await expect(readFile(socket)).rejects.toMatchObject({ code: 'ENOENT' });
  expect(await readdir(folder)).toEqual(['forks', 'memory', 'witness.key']);
});

test('a witness process with a damaged memory ends, and says why', async () => {
  const { start, folder } = bench;
  const path = join(folder, 'memory');
  const good = await readFile(path, 'utf8');
  await writeFile(path, good.replace('"size":5', '"size":4'));
  const running = await start();
  expect((await running.exited).detail).toMatch(/^WITNESS_MEMORY_DAMAGED: .* is damaged; replace/);
  await writeFile(path, good);
  const again = await start();
  expect(await bench.client.add(request(testLog(entries(5)), 5))).toMatchObject({ ok: true });
  await again.stop(30_000);
});
