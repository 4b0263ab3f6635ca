import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SignedRecord } from '#custody/record.ts';
import { ALLOWED, serveCity } from './city.ts';
import { folder, run } from './support.ts';
import { createWitnessedCity, type WitnessedCity } from './witnessed-city.ts';

const place = folder();
const work = folder();
let city: WitnessedCity;
let served: { close(): Promise<void> };
let done: SignedRecord;

beforeAll(async () => {
  city = await createWitnessedCity();
  const read = await city.reading();
  done = await city.act(await city.finding([read]), 'signal.set_plan', { plan: 'B' });
  await city.answer(done, ALLOWED);
  city.witness();
  served = await serveCity(city, place.path, city.ledger, { evidence: city.evidence });
});
afterAll(async () => {
  await served.close();
  place.remove();
  work.remove();
});

const exported = (...args: readonly string[]) =>
  run(place.path, 'custody', 'export', '--format', 'tlog-proof', ...args);

test('custody export --format tlog-proof writes that the ledger has a record, for other tools', async () => {
  const file = join(work.path, 'done.tlog-proof');
  const { code, out, err } = await exported('-o', file, '--', done.id);
  expect([code, err]).toEqual([0, '']);
  expect(out).toContain(`${done.id.slice(0, 8)} is in the ledger`);
  const proof = readFileSync(file, 'utf8');
  expect(proof).toMatch(/^c2sp\.org\/tlog-proof@v1\nextra \S+\nindex \d+\n(\S{44}\n)+\n/);
  const [, leaf = ''] = /^extra (\S+)$/m.exec(proof) ?? [];
  const entry = JSON.parse(Buffer.from(leaf, 'base64').toString('utf8'));
  expect(entry).toMatchObject({ type: 'record', jws: done.jws });
});

test('nothing is written of what is not witnessed, and --all is no record', async () => {
  const late = await city.reading();
  const file = join(work.path, 'late');
  const early = await exported('-o', file, '--wait', '0', '--', late.id);
  expect([early.code, early.out]).toEqual([1, '']);
  expect(early.err).toMatch(/is not witnessed yet/);
  expect(() => readFileSync(file)).toThrow(/ENOENT/);
  expect((await exported('--all', '-o', file)).code).toBe(2);
});
