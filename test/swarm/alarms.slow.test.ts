import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Alarm } from '#cli/wiring/alarms.ts';
import type { RunningSwarm } from '#cli/wiring/swarm.ts';
import { accountOf, entriesOf, isMessage } from './account.ts';
import { ACTION, ANALYZER, folder, pidOf, start, swarmFile } from './city.ts';
import { until } from './until.ts';

/** What is raised, by whom, when something is stopped that nobody else is told of: by its PID. */
const HONEST_MS = 60_000;
const place = folder();
let running: RunningSwarm;
const told: Alarm[] = [];

beforeAll(async () => {
  const source = { kind: 'simulated', rows: 100_000, intervalMs: 50 };
  const agents = [{ role: 'sensor', name: 'cam-1', source }, ANALYZER, ACTION];
  running = await start({ file: swarmFile(place.path, agents), runPath: `${place.path}/run` });
  running.alarms.onAlarm((alarm) => told.push(alarm));
}, 120_000);
afterAll(async () => {
  await running?.stop();
  place.remove();
});

const isSo = (code: string, about: string, by: string) => () =>
  running.alarms
    .list()
    .some((one) => [one.code, one.about, one.by].join() === [code, about, by].join() && !one.until);
const current = () => running.alarms.list().filter(({ until: end }) => end === undefined);

/** Stopped, not killed: the connection stands, the process is there, and does nothing. */
async function whileStopped(name: string, watch: () => Promise<void>): Promise<void> {
  const pid = pidOf(running, name);
  process.kill(pid, 'SIGSTOP');
  try {
    await watch();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

describe('the alarms of a running swarm', () => {
  test('none in a minute of honest work, in which who speaks has a record of its own proven', async () => {
    await new Promise((resolve) => setTimeout(resolve, HONEST_MS));
    expect(running.alarms.list()).toEqual([]);
    const entries = entriesOf(running);
    expect(accountOf(entries, 'north.reading.sensor-cam-1').acknowledged.size).toBeGreaterThan(500);
    for (const token of ['sensor-cam-1', 'analyzer-analyzer-1']) {
      const asked = entries.filter((entry) => isMessage(entry, `svc.ledger.${token}`));
      expect([token, asked.length > 0]).toEqual([token, true]);
      // Rare: it is recorded itself.
      expect(asked.length).toBeLessThan(HONEST_MS / 5000);
    }
  }, 120_000);

  test('a ledger that says nothing: no receipts, no proofs, no tree heads; and all is over when it goes on', async () => {
    await whileStopped('platform-ledger', async () => {
      await until('no receipts', isSo('RECEIPT_MISSING', 'ledger', 'sensor-cam-1'));
      await until('no tree heads', isSo('CHECKPOINT_STALE', 'ledger', 'supervisor'));
      await until('no proofs', isSo('INCLUSION_MISSING', 'ledger', 'sensor-cam-1'));
    });
    await until('all is over', () => current().length === 0);
    expect(told.map(({ code }) => code)).not.toContain('WITNESS_SILENT');
    expect(told.map(({ code }) => code)).not.toContain('RSQ_GAP');
  }, 600_000);

  test('a receiver that says nothing, told by its sender', async () => {
    const about = 'analyzer-analyzer-1';
    await whileStopped(about, async () => {
      await until('no acknowledgements', isSo('ACK_MISSING', about, 'sensor-cam-1'));
    });
    await until('all is over', () => current().length === 0);
  }, 600_000);

  test('one witness that says nothing; the log goes on without it', async () => {
    await whileStopped('witness-2', async () => {
      await until('it is silent', isSo('WITNESS_SILENT', 'witness-2', 'supervisor'));
      expect(isSo('CHECKPOINT_STALE', 'ledger', 'supervisor')()).toBe(false);
    });
    await until('all is over', () => current().length === 0);
  }, 600_000);

  test('a broker that says nothing: everybody tells, past it', async () => {
    await whileStopped('nats', async () => {
      await until('no receipts', isSo('RECEIPT_MISSING', 'ledger', 'sensor-cam-1'));
      await until(
        'no acknowledgements',
        isSo('ACK_MISSING', 'analyzer-analyzer-1', 'sensor-cam-1'),
      );
    });
    await until('all is over', () => current().length === 0);
  }, 600_000);
});
