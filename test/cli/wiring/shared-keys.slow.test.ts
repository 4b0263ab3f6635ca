import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type SharedKeysSwarm, startSharedKeys } from '#cli/wiring/shared-keys/swarm.ts';
import { ACTION, ANALYZER, folder, swarmFile } from '#test/swarm/city.ts';
import { natsServer } from '#test/tools.ts';

/** It is worse than the swarm in what it proves, not in how well it is built: it survives the same. */
const ROWS = 1500;
const place = folder();
let swarm: SharedKeysSwarm;

beforeAll(async () => {
  const source = { kind: 'simulated', seed: 3, rows: ROWS, anomalies: 2, intervalMs: 4 };
  swarm = await startSharedKeys({
    file: swarmFile(place.path, [{ role: 'sensor', name: 'cam-1', source }, ANALYZER, ACTION]),
    inputs: [],
    runPath: join(place.path, 'run'),
    runId: 'test',
    natsServer: natsServer(),
  });
}, 120_000);
afterAll(async () => {
  await swarm?.stop();
  place.remove();
}, 60_000);

const reportOf = (name: string) =>
  swarm.status().processes.find((one) => one.name === name)?.report ?? {};

async function until(look: () => boolean): Promise<void> {
  while (!look()) await new Promise((resolve) => setTimeout(resolve, 100));
}

test('kill -9 of the broker while readings flow: each is taken, and none twice', {
  timeout: 90_000,
}, async () => {
  await until(() => Number(reportOf('analyzer-analyzer-1').received) > 100);
  const broker = swarm.status().processes.find(({ name }) => name === 'nats');
  process.kill(broker?.pid ?? 0, 'SIGKILL');
  await until(() => reportOf('sensor-cam-1').phase === 'done');
  await until(() => Number(reportOf('analyzer-analyzer-1').received) >= ROWS);
  expect(reportOf('analyzer-analyzer-1')).toMatchObject({
    received: ROWS,
    role: { readings: ROWS, duplicates: 0 },
  });
  const { processes } = swarm.status();
  expect(processes.map(({ name, restarts }) => [name, restarts])).toEqual(
    processes.map(({ name }) => [name, name === 'nats' ? 1 : 0]),
  );
});
