import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { rollOver } from '#cli/wiring/custody-rollover.ts';
import { evidenceVerbs } from '#cli/wiring/evidence-control.ts';
import type { RunningSwarm } from '#cli/wiring/swarm.ts';
import { parseTrust, type Trust } from '#custody/evidence/trust.ts';
import { verifyEvidence } from '#custody/evidence/verify.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import { isRollover } from '#custody/log/rollover.ts';
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
const WAIT_MS = 60_000;

const isReading = (entry: LedgerEntry) =>
  entry.type === 'record' && entry.record.claims.knd === 'root';

/** The evidence of a reading from that entry on, as the command gets it from the swarm, and what its reader pins. */
async function evidenceOf({ evidence, ledger }: RunningSwarm, from: number) {
  const verbs = evidenceVerbs(evidence);
  const record = await ledger.entry(isReading, from);
  if (record.type !== 'record') throw new Error('no reading');
  const lines: unknown[] = [];
  const args = { id: record.record.id, waitMs: WAIT_MS };
  const add = (line: unknown) => void lines.push(line);
  value(await verbs['evidence-action'](args, add, AbortSignal.timeout(WAIT_MS)));
  const { trust } = value(await verbs.pins()) as {
    readonly trust: string;
  };
  return { bytes: Buffer.from(lines.join('')), trust: value(parseTrust(trust)) };
}

const proves = (bytes: Uint8Array, trust: Trust) => verifyEvidence(bytes, trust);

test('after a change of keys a swarm goes on with its ledger, and who pinned the first keys verifies what came before and after', async () => {
  const source = { kind: 'simulated', rows: 100_000, intervalMs: 100 };
  const agents = [{ role: 'sensor', name: 'cam-1', source }, ANALYZER, ACTION];
  const file = swarmFile(place.path, agents);
  running = await start({ file, runPath });
  const before = await evidenceOf(running, 0);
  expect(proves(before.bytes, before.trust)).toMatchObject({ overall: 'proven' });
  const size = newest();
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
  expect(from).toBeGreaterThan(size);
  running = await start({ file, runPath });
  await until('it is witnessed under the new keys', () => newest() > from);
  const entered = running.ledger.statements().filter(({ note }) => isRollover(note));
  expect(entered).toHaveLength(1);
  expect(entered[0]?.index).toBeGreaterThanOrEqual(from - 1);

  const after = await evidenceOf(running, from);
  const { changes, ...first } = after.trust.log;
  expect(first).toEqual(before.trust.log);
  expect(changes?.map(({ from: size }) => size)).toEqual([from]);
  for (const { bytes } of [before, after]) {
    for (const trust of [before.trust, after.trust]) {
      expect(proves(bytes, trust)).toMatchObject({ overall: 'proven' });
    }
  }
  // To who pinned only the first keys the change is what leads there: without it the new ones are
  // nobody's.
  const lines = after.bytes.toString('utf8').split('\n');
  const without = lines.filter((line) => !line.startsWith('{"rollover":')).join('\n');
  expect(without.length).toBeLessThan(after.bytes.length);
  expect(proves(Buffer.from(without), before.trust).overall).not.toBe('proven');
  expect(proves(Buffer.from(without), after.trust).overall).toBe('proven');
  // One that was raised while the machine stood still is over; of a change that went wrong none is.
  await until(
    'no alarm stands',
    () => running?.alarms.list().every(({ until: end }) => end) ?? false,
  );
}, 400_000);
