import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whenIdle } from '#cli/wiring/idle.ts';
import type { Issued, RunningSwarm } from '#cli/wiring/swarm.ts';
import { testSource } from '#test/support/test-ca.ts';
import { accountOf, entriesOf, repeated } from './account.ts';
import { ACTION, ANALYZER, folder, imagesWith, start, swarmFile } from './city.ts';
import { type Foothold, footholds } from './foothold.ts';

/** Messages go on longer than two lives of an SVID. */
const ROWS = 1000;
const INTERVAL_MS = 50;

const place = folder();
const runPath = join(place.path, 'run');
const issued: Issued[] = [];
let running: RunningSwarm;
let held: Awaited<ReturnType<typeof footholds>>;
let implant: Foothold;

beforeAll(async () => {
  const imageFolder = await imagesWith(join(place.path, 'images'), {
    sensor: 'test/swarm/programs/sensor.ts',
  });
  const source = { kind: 'simulated', rows: ROWS, intervalMs: INTERVAL_MS };
  const file = swarmFile(
    place.path,
    [
      { role: 'sensor', name: 'cam-1', source },
      { role: 'sensor', name: 'implant-1', source },
      ANALYZER,
      ACTION,
    ],
    { svidTtl: '20s' },
  );
  held = await footholds(runPath);
  running = await start({ file, runPath, imageFolder });
  running.onIssued((one) => issued.push(one));
  implant = await held.of('sensor-implant-1');
}, 120_000);
afterAll(async () => {
  await held?.close();
  await running?.stop();
  place.remove();
});

describe('SVIDs of twenty seconds under a steady flow', { timeout: 400_000 }, () => {
  test('an SVID that has ended opens nothing while messages flow; the one in its place does', async () => {
    // A new one: it must be used before it ends.
    await new Promise<void>((resolve) => implant.source.onUpdate(resolve));
    const first = implant.source.svid();
    const old = testSource(first, implant.source.bundles());
    const opened = await implant.connect(old);
    // The broker ends the connection at the SVID's own end: nobody keeps one by staying.
    for await (const { type } of opened.status()) if (type === 'disconnect') break;
    expect(Date.now()).toBeGreaterThanOrEqual(first.notAfter.getTime() - 1000);
    await expect(implant.connect(old)).rejects.toThrow();
    const renewed = await implant.connect();
    await renewed.flush();
    expect(implant.svids.length).toBeGreaterThan(1);
    expect(renewed.isClosed()).toBe(false);
  });

  test('several renewals of every process cost no message and double none', async () => {
    await whenIdle(running);
    const entries = entriesOf(running);
    for (const token of ['sensor-cam-1', 'sensor-implant-1']) {
      const { recorded, acknowledged } = accountOf(entries, `north.reading.${token}`);
      expect(recorded.size).toBe(ROWS);
      expect(acknowledged.size).toBe(ROWS);
      expect([...recorded].filter(([, times]) => times > 1)).toEqual([]);
    }
    expect(repeated(entries)).toEqual([]);
    expect(running.ledger.refusals()).toEqual([]);
    for (const agent of running.swarm.agents) {
      const renewals = issued.filter(({ spiffeId }) => spiffeId === agent.member.id);
      expect(renewals.length).toBeGreaterThanOrEqual(3);
    }
    const { processes } = running.status();
    expect(processes.filter(({ restarts }) => restarts > 0)).toEqual([]);
    const links = processes.flatMap(({ report }) => Number(report?.rotations ?? 0) || []);
    expect(Math.max(...links)).toBeGreaterThanOrEqual(2);
  });
});
