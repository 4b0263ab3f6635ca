import { join } from 'node:path';
import { afterAll, beforeAll, test } from 'vitest';
import type { Issued, RunningSwarm } from '#cli/wiring/swarm.ts';
import { ACTION, ANALYZER, folder, pidOf, start, swarmFile } from './city.ts';
import { until } from './until.ts';

const place = folder();
let running: RunningSwarm;

beforeAll(async () => {
  const source = { kind: 'simulated', rows: 10_000, intervalMs: 100 };
  const agents = [{ role: 'sensor', name: 'cam-1', source }, ANALYZER, ACTION];
  const file = swarmFile(place.path, agents, { svidTtl: '10s' });
  running = await start({ file, runPath: join(place.path, 'run') });
}, 120_000);
afterAll(async () => {
  await running?.stop();
  place.remove();
});

const nextIssued = (fits: (one: Issued) => boolean) =>
  new Promise<Issued>((resolve) => {
    const stop = running.onIssued((one) => {
      if (!fits(one)) return;
      stop();
      resolve(one);
    });
  });

test('a ledger that is away for longer than an SVID lives stops the swarm, which comes back with it', async () => {
  const name = 'platform-ledger';
  const ended = await nextIssued(({ spiffeId }) => spiffeId.includes('/agent/'));
  // Stopped and not killed: nobody starts another one.
  process.kill(pidOf(running, name), 'SIGSTOP');
  const last = await nextIssued(({ notAfter }) => notAfter > ended.notAfter);
  while (new Date(last.notAfter).getTime() > Date.now()) await nextIssued(() => true);
  process.kill(pidOf(running, name), 'SIGCONT');
  const since = running.ledger.size();
  const { serial } = await nextIssued(({ spiffeId }) => spiffeId === ended.spiffeId);
  await running.ledger.entry((entry) => entry.type === 'statement' && entry.note.includes(serial));
  // Readings flow again, under certificates that were stated after that, and are acknowledged.
  for (const role of ['/agent/sensor/', '/agent/analyzer/']) {
    await running.ledger.entry(
      (entry) => entry.type === 'record' && entry.by.includes(role),
      since,
    );
  }
  // Who was started anew for it may still be on its way.
  await until('every process is ready', () =>
    running.status().processes.every(({ state }) => state === 'ready'),
  );
}, 400_000);
