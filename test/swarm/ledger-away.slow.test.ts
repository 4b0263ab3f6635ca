import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whenIdle } from '#cli/wiring/idle.ts';
import type { Issued, RunningSwarm } from '#cli/wiring/swarm.ts';
import { openStatement } from '#custody/log/statement.ts';
import { accountOf, entriesOf } from './account.ts';
import { ACTION, ANALYZER, folder, killAndRecover, start, swarmFile } from './city.ts';

/** Messages go on while certificates end, and the ledger with them. */
const ROWS = 800;
const KILLS = 3;

const place = folder();
const issued: Issued[] = [];
let running: RunningSwarm;

beforeAll(async () => {
  const source = { kind: 'simulated', rows: ROWS, intervalMs: 50 };
  const agents = [{ role: 'sensor', name: 'cam-1', source }, ANALYZER, ACTION];
  const file = swarmFile(place.path, agents, { svidTtl: '20s' });
  running = await start({ file, runPath: join(place.path, 'run') });
  running.onIssued((one) => issued.push(one));
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

function statedSerials(): Set<string> {
  const serials = entriesOf(running).flatMap((entry) => {
    const opened = entry.type === 'statement' ? openStatement(entry.note, [], 0) : undefined;
    return opened?.ok === true && opened.value.kind === 'issuance' ? [opened.value.serial] : [];
  });
  return new Set(serials);
}

describe('a ledger that is killed while SVIDs are renewed', { timeout: 400_000 }, () => {
  test('has every issuance entered when it is back, and nobody loses their place', async () => {
    for (let kill = 0; kill < KILLS; kill += 1) {
      // Issued, and not entered yet: the ledger dies with the statement, or before it came.
      const { serial } = await nextIssued(({ spiffeId }) => spiffeId.includes('/agent/'));
      await killAndRecover(running, 'platform-ledger');
      await running.ledger.entry((entry) => {
        const opened = entry.type === 'statement' ? openStatement(entry.note, [], 0) : undefined;
        return opened?.ok === true && 'serial' in opened.value && opened.value.serial === serial;
      });
    }
    await whenIdle(running);
    const { recorded, acknowledged } = accountOf(entriesOf(running), 'north.reading.sensor-cam-1');
    expect([recorded.size, acknowledged.size]).toEqual([ROWS, ROWS]);
    const { processes } = running.status();
    expect(processes.filter(({ state }) => state !== 'ready')).toEqual([]);
    const ended = processes.filter(({ restarts }) => restarts > 0).map(({ name }) => name);
    expect(ended).toEqual(['platform-ledger']);
    const unlogged = running.ledger
      .refusals()
      .filter(({ refusal }) => refusal.code.endsWith('_SVID_NOT_LOGGED'));
    expect(unlogged).toEqual([]);
  });

  test('none is missing: whatever was issued to a member is stated', async () => {
    const { length } = issued;
    // The next one shows that those before it have had their time.
    const { serial } = await nextIssued(() => issued.length > length);
    await running.ledger.entry(
      (entry) => entry.type === 'statement' && entry.note.includes(serial),
    );
    const stated = statedSerials();
    expect(issued.slice(0, length).filter((one) => !stated.has(one.serial))).toEqual([]);
  });
});
