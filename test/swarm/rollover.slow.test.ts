import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { rollOver } from '#cli/wiring/custody-rollover.ts';
import type { RunningSwarm } from '#cli/wiring/swarm.ts';
import { value } from '#test/runtime/support.ts';
import { ACTION, ANALYZER, folder, start, swarmFile } from './city.ts';
import { until } from './until.ts';

const place = folder();
const runPath = join(place.path, 'run');
let running: RunningSwarm | undefined;
afterAll(async () => {
  await running?.stop();
  place.remove();
});

const newest = (): number => running?.witnessed().newest?.size ?? 0;

test('after a change of keys a swarm goes on with its ledger, which holds the change, under the new keys', async () => {
  const source = { kind: 'simulated', rows: 100_000, intervalMs: 100 };
  const agents = [{ role: 'sensor', name: 'cam-1', source }, ANALYZER, ACTION];
  const file = swarmFile(place.path, agents);
  running = await start({ file, runPath });
  await until('a checkpoint is witnessed', () => newest() > 0);
  const before = newest();
  await running.stop();

  const { from } = value(
    await rollOver({
      runPath,
      log: true,
      witnesses: ['witness-1'],
      replaced: ['witness-2'],
      clock: Date.now,
    }),
  );
  expect(from).toBeGreaterThan(before);
  running = await start({ file, runPath });
  await until('it is witnessed under the new keys', () => newest() > from);
  const entries = running.ledger.list({ limit: Number.POSITIVE_INFINITY });
  const changes = entries.filter(
    (entry) => entry.type === 'statement' && entry.note.startsWith('custody-rollover/v1\n'),
  );
  expect(changes).toHaveLength(1);
  // What was there before is there still.
  expect(entries[0]?.index).toBe(0);
  expect(changes[0]?.index).toBeGreaterThanOrEqual(from - 1);
});
