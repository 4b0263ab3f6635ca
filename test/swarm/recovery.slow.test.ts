import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toBytes } from '#agents/json.ts';
import type { BusClient } from '#bus/client/bus-client.ts';
import { whenIdle } from '#cli/wiring/idle.ts';
import type { RunningSwarm } from '#cli/wiring/swarm.ts';
import { encodeEntry } from '#custody/ledger/entry.ts';
import type { RecordId } from '#custody/record.ts';
import { accountOf, actedUpon, entriesOf, isMessage, payloadOf, repeated } from './account.ts';
import { ACTION, ANALYZER, folder, imagesWith, killAndRecover, start, swarmFile } from './city.ts';
import { type Foothold, footholds } from './foothold.ts';

const ROWS = 900;
const INCIDENT_AT = 870;

const place = folder();
const runPath = join(place.path, 'run');
let running: RunningSwarm;
let held: Awaited<ReturnType<typeof footholds>>;
let probe: Foothold;
let bus: BusClient;
/** Records that the ledger's signed receipts confirmed to the probe. */
const told: RecordId[] = [];
const figures: Record<string, number> = {};
let sent = 0;

function csv(): string {
  const path = join(place.path, 'speed.csv');
  const rows = Array.from({ length: ROWS }, (_, index) => {
    const at = new Date(Date.UTC(2026, 0, 1) + index * 60_000).toISOString();
    const value = index >= INCIDENT_AT && index < INCIDENT_AT + 5 ? 5 : 60 + (index % 3);
    return `${at},${value}`;
  });
  writeFileSync(path, `timestamp,value\n${rows.join('\n')}\n`);
  return path;
}

/** The probe's next reading; resolves when it is on its way. */
async function send(value: number): Promise<{ readonly id: string; readonly record: RecordId }> {
  sent += 1;
  const { token } = probe.self;
  const id = `${token}:probe:${sent}`;
  const audience = running.swarm.routes.find((route) => route.sender === probe.self.id);
  const reading = {
    type: 'reading',
    id,
    row: sent,
    measure: 'speed',
    at: new Date(Date.UTC(2026, 0, 1) + sent * 60_000).toISOString(),
    value,
    late: false,
  };
  const record = await bus.send({
    kind: 'reading',
    audience: audience?.receivers ?? [],
    payload: toBytes(reading),
    recordKind: 'root',
  });
  return { id, record };
}

async function calm(count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) told.push((await send(60)).record);
  await bus.flush();
}

beforeAll(async () => {
  const imageFolder = await imagesWith(join(place.path, 'images'), {
    sensor: 'test/swarm/programs/sensor.ts',
  });
  const source = { kind: 'csv', path: csv(), intervalMs: 40 };
  const file = swarmFile(place.path, [
    { role: 'sensor', name: 'cam-1', source },
    { role: 'sensor', name: 'implant-1', source: { kind: 'simulated', rows: 60 } },
    ANALYZER,
    ACTION,
  ]);
  held = await footholds(runPath);
  const began = performance.now();
  running = await start({ file, runPath, imageFolder });
  figures['start to ready'] = Math.round(performance.now() - began);
  probe = await held.of('sensor-implant-1');
  ({ bus } = await probe.client());
}, 120_000);
afterAll(async () => {
  process.stdout.write(`recovery, milliseconds: ${JSON.stringify(figures)}\n`);
  await held?.close();
  await running?.stop();
  place.remove();
});

const KINDS: readonly (readonly string[])[] = [
  ['sensor-cam-1'],
  ['issuer'],
  ['nats'],
  ['gate-a'],
  ['gate-a', 'gate-b'],
  ['platform-ledger'],
  ['analyzer-analyzer-1'],
  ['action-action-1'],
  ['service-llm'],
  ['service-vector'],
  ['service-mcp'],
  ['service-city-works'],
];

describe('kill -9 of one process kind while readings flow', { timeout: 300_000 }, () => {
  test.each(KINDS.map((names) => [names.join(' and '), names] as const))(
    '%s: it comes back, and an incident after it is found and acted upon',
    async (title, names) => {
      // Enough to warm the detector up anew, and to keep incidents rare in its history.
      await calm(40);
      const before = running.ledger.size();
      const recovering = killAndRecover(running, ...names);
      const during = Promise.all(Array.from({ length: 20 }, () => send(60)));
      figures[title] = await recovering;
      for (const { record } of await during) told.push(record);
      await calm(40);
      const incident = await send(5);
      const { finding } = await actedUpon(running, incident.id);
      expect(finding.index).toBeGreaterThan(before);
    },
  );

  test('at the end every row is recorded and acknowledged, no id is there twice, each finding has one act', async () => {
    await bus.flush();
    await whenIdle(running);
    const entries = entriesOf(running);
    const rows = accountOf(entries, 'north.reading.sensor-cam-1');
    expect(rows.recorded.size).toBe(ROWS);
    expect(rows.acknowledged.size).toBe(ROWS);
    const own = accountOf(entries, 'north.reading.sensor-implant-1');
    const expected = Array.from(
      { length: sent },
      (_, index) => `sensor-implant-1:probe:${index + 1}`,
    );
    expect(expected.filter((id) => !own.recorded.has(id))).toEqual([]);
    expect(expected.filter((id) => !own.acknowledged.has(id))).toEqual([]);
    expect(repeated(entries)).toEqual([]);

    const findings = entries.filter((entry) =>
      isMessage(entry, 'north.finding.analyzer-analyzer-1'),
    );
    const about = findings.map((entry) => payloadOf(entry)?.readingId);
    // The incidents of the probe, one for each kill, and the one of the file.
    expect(new Set(about).size).toBeGreaterThanOrEqual(KINDS.length + 1);
    const acts = entries.filter(
      (entry) =>
        entry.type === 'record' &&
        entry.record.claims.knd === 'act' &&
        entry.record.claims.sbj.startsWith('svc.mcp.'),
    );
    const causes = acts.map((entry) => entry.type === 'record' && entry.record.claims.par[0]);
    expect(new Set(causes).size).toBe(acts.length);
    expect(running.ledger.equivocations()).toEqual([]);
  });

  test('a start on the same folder finds every entry, and every record whose receipt was given', async () => {
    const before = entriesOf(running).map((entry) => Buffer.from(encodeEntry(entry)).toString());
    const { file } = { file: swarmFile(place.path, [ANALYZER, ACTION]) };
    await held.close();
    await running.stop();
    running = await start({ file, runPath });
    const after = entriesOf(running);
    expect(after.map(({ index }) => index)).toEqual(after.map((_entry, index) => index));
    expect(
      after.slice(0, before.length).map((entry) => Buffer.from(encodeEntry(entry)).toString()),
    ).toEqual(before);
    expect(told.filter((id) => running.ledger.get(id) === undefined)).toEqual([]);
    expect(told.length).toBeGreaterThan(500);
  });
});
