import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Finding } from '#agents/finding.ts';
import type { Reading } from '#agents/reading.ts';
import { acknowledgedOf, isAction } from '#cli/demo/observations.ts';
import { CHECKOUT } from '#cli/wiring/checkout.ts';
import { whenIdle } from '#cli/wiring/idle.ts';
import { observeWorksState } from '#cli/wiring/works-observer.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import { verifyAncestry } from '#custody/verify.ts';
import { loadNab, NAB_MISSING, nabPresent, within } from '../agents/nab.ts';
import { folder, start } from './city.ts';

const state = folder();
afterAll(() => state.remove());

/** What the detector's own test allows on the same rows. */
const MOST_OUTSIDE = 12;

describe.skipIf(!nabPresent())(`road series (${nabPresent() ? 'present' : NAB_MISSING})`, () => {
  test('the smart city on real input: rows = recorded = acknowledged, every incident acted upon', async () => {
    const series = loadNab();
    const running = await start({
      file: join(CHECKOUT, 'swarms', 'smart-city.yaml'),
      runPath: join(state.path, 'run'),
      inputs: series.map(({ path }, index) => `cam-${index + 1}=${path}`),
    });
    try {
      await whenIdle(running);
      const { ledger, swarm } = running;
      const sensors = series.map((_, index) => {
        const token = `sensor-cam-${index + 1}`;
        const member = swarm.members.find((one) => one.token === token);
        if (member === undefined) throw new Error(`the smart city has no ${token}`);
        return member;
      });

      const readings = ledger.list({ kind: 'root', limit: 1_000_000 }).map(payloadOf<Reading>);
      series.forEach(({ rows }, index) => {
        const sensor = sensors[index];
        if (sensor === undefined) throw new Error('one sensor a series');
        const ids = readings
          .filter((one) => one.id.startsWith(`${sensor.token}:`))
          .map(({ id }) => id);
        expect(new Set(ids).size, `${sensor.token} recorded`).toBe(rows.length);
        const acknowledged = acknowledgedOf(running, sensor.id);
        expect(acknowledged, `${sensor.token} acknowledged`).toBe(rows.length);
      });

      const actions = ledger.list({ kind: 'act', limit: 10_000 }).filter(isAction);
      const findings = actions.map(({ record }) => {
        const [finding] = ledger.parents(record.id);
        if (finding === undefined) throw new Error(`action ${record.id} names no finding`);
        return payloadOf<Finding>(finding);
      });
      let outside = 0;
      series.forEach(({ windows, file }, index) => {
        const times = findings
          .filter(({ sensor }) => sensor === sensors[index]?.token)
          .map(({ at }) => Date.parse(at));
        const acted = windows.filter((window) => times.some((at) => within(at, [window])));
        expect(acted, file).toEqual(windows);
        outside += times.filter((at) => !within(at, windows)).length;
      });
      expect(outside).toBeLessThanOrEqual(MOST_OUTSIDE);

      // Seen from outside the swarm: every order that an agent signed was carried out, once.
      const works = await observeWorksState(running.observe);
      const ordered = actions.map(({ record }) => record.id).sort();
      expect(works.orders.map(({ order }) => order).sort()).toEqual(ordered);
      for (const { record } of actions) {
        const ancestry = verifyAncestry(ledger.ancestry(record.id), { bundles: running.trust() });
        expect(ancestry).toMatchObject({ proven: true });
      }
    } finally {
      await running.stop();
    }
  }, 180_000);
});

function payloadOf<T>(entry: LedgerEntry): T {
  if (entry.type !== 'record' || entry.payload === undefined) throw new Error('no payload');
  return JSON.parse(Buffer.from(entry.payload).toString('utf8')) as T;
}
