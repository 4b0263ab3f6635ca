import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toBytes } from '#agents/json.ts';
import type { BusClient } from '#bus/client/bus-client.ts';
import type { NatsConnection } from '#bus/client/nats.ts';
import type { RunningSwarm } from '#cli/wiring/swarm.ts';
import type { RefusalPayload } from '#custody/ack.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import { createRecordSigner, type RecordDraft } from '#custody/record/sign.ts';
import { violation } from '#test/support/swarm.ts';
import { entriesOf, isRecord } from './account.ts';
import { ACTION, ANALYZER, folder, imagesWith, start, swarmFile } from './city.ts';
import { type Foothold, footholds } from './foothold.ts';
import { captured, publish, readingOf } from './forge.ts';

const place = folder();
const runPath = join(place.path, 'run');
let running: RunningSwarm;
let held: Awaited<ReturnType<typeof footholds>>;
/** A sensor, and an analyzer that may call services: what somebody who has taken both over holds. */
let sensor: Foothold;
let analyzer: Foothold;
let sensorNats: NatsConnection;
let analyzerNats: NatsConnection;
let bus: BusClient;

const OWN = 'north.reading.sensor-implant-1';
const VICTIM = 'spiffe://city.example/agent/sensor/north/cam-1';
const ROLE = 'spiffe://city.example/agent/analyzer/north/*';

beforeAll(async () => {
  const imageFolder = await imagesWith(join(place.path, 'images'), {
    sensor: 'test/swarm/programs/sensor.ts',
    analyzer: 'test/swarm/programs/analyzer.ts',
  });
  const source = { kind: 'simulated', rows: 60 };
  const file = swarmFile(place.path, [
    { role: 'sensor', name: 'cam-1', source: { ...source, rows: 100_000, intervalMs: 100 } },
    { role: 'sensor', name: 'implant-1', source },
    { ...ANALYZER },
    { ...ANALYZER, name: 'implant-2' },
    ACTION,
  ]);
  held = await footholds(runPath);
  running = await start({ file, runPath, imageFolder });
  sensor = await held.of('sensor-implant-1');
  analyzer = await held.of('analyzer-implant-2');
  sensorNats = await sensor.connect();
  analyzerNats = await analyzer.connect();
  ({ bus } = await sensor.client());
}, 120_000);
afterAll(async () => {
  await held?.close();
  await running?.stop();
  place.remove();
});

let row = 0;
function draft(more: Partial<RecordDraft> = {}): RecordDraft {
  row += 1;
  const payload = readingOf('sensor-implant-1', row);
  return { aud: [ROLE], sbj: OWN, knd: 'root', payload, ...more };
}

/**
 * The next refusal of that code in the ledger, made by a door or by the ledger itself; of that record,
 * if one is given: two analyzers have doors, and one may tell of an earlier test's message late.
 */
async function refusal(code: string, since: number, record?: string): Promise<RefusalPayload> {
  const fits = (one: RefusalPayload) =>
    code.split(' or ').includes(one.code) && (record === undefined || one.record === record);
  const found = () => running.ledger.refusals(since).find((one) => fits(one.refusal));
  await running.ledger.entry(() => found() !== undefined, since);
  return found()?.refusal ?? expect.fail(`no refusal ${code}`);
}

/** An honest reading of the same sensor passes the same doors. */
async function twinPasses(): Promise<void> {
  const { payload } = draft();
  const audience = running.swarm.routes.find(({ sender }) => sender === sensor.self.id);
  const receivers = audience?.receivers ?? [];
  const id = await bus.send({ kind: 'reading', audience: receivers, payload, recordKind: 'root' });
  await bus.flush();
  const entry = await running.ledger.entry((one) => isRecord(one, id));
  expect(entry).toMatchObject({ by: sensor.self.id });
}

async function brokerRefuses(nats: NatsConnection, subject: string, reply?: string): Promise<void> {
  const error = violation(nats);
  nats.publish(subject, '{}', reply === undefined ? {} : { reply });
  expect(await error).toContain(`"${subject}"`);
}

describe('what the broker refuses an agent that was taken over', () => {
  test('publishing under another’s token, in another’s stead, or into the ledger', async () => {
    await brokerRefuses(sensorNats, 'north.reading.sensor-cam-1');
    await brokerRefuses(sensorNats, 'south.reading.sensor-implant-1');
    await brokerRefuses(sensorNats, 'custody.append.sensor-cam-1');
    await brokerRefuses(sensorNats, 'ledger.entry');
    await brokerRefuses(sensorNats, 'north.ack.analyzer-analyzer-1.sensor-cam-1');
    await brokerRefuses(sensorNats, 'svc.mcp.sensor-implant-1');
    await brokerRefuses(analyzerNats, 'svc.mcp.action-action-1');
    await twinPasses();
  });

  test('JetStream’s own interface, with the reply where it would do harm', async () => {
    for (const subject of [
      '$JS.API.STREAM.DELETE.LEDGER',
      '$JS.API.STREAM.PURGE.READING',
      '$JS.API.STREAM.INFO.LEDGER',
      '$JS.API.DIRECT.GET.LEDGER',
      '$JS.API.CONSUMER.CREATE.LEDGER.x',
      '$JS.API.CONSUMER.MSG.NEXT.READING.analyzer-analyzer-1',
      '$JS.ACK.APPEND.platform-ledger.1.1.1.1.0',
      '$SYS.REQ.USER.AUTH',
    ]) {
      await brokerRefuses(sensorNats, subject, 'ledger.entry');
      await brokerRefuses(analyzerNats, subject, '_INBOX.analyzer-implant-2.x.y');
    }
    await twinPasses();
  });

  test('reading another’s inbox or deliveries, and a share of a service’s requests', async () => {
    for (const [nats, subject, queue] of [
      [sensorNats, '_INBOX.>', undefined],
      [sensorNats, '_INBOX.analyzer-analyzer-1.>', undefined],
      [analyzerNats, '_INBOX.analyzer-analyzer-1._js.READING.deliver', undefined],
      [analyzerNats, 'north.reading.*', undefined],
      [analyzerNats, 'svc.llm.*', 'svc-llm'],
      [sensorNats, 'svc.mcp.>', 'svc-mcp'],
      [sensorNats, 'custody.append.*', undefined],
      [sensorNats, 'ledger.entry', undefined],
      [sensorNats, '>', undefined],
    ] as const) {
      const error = violation(nats);
      nats.subscribe(subject, { callback: () => {}, ...(queue === undefined ? {} : { queue }) });
      expect(await error).toMatch(/subscription/i);
    }
    await twinPasses();
  });
});

describe('what a door refuses, and records with both names', () => {
  test('a forged record in another’s name is refused as presented by the forger', async () => {
    const since = running.ledger.size();
    const { payload, ...rest } = draft();
    const record = bus.sign({ ...rest, payload });
    const [header, claims, signature] = record.jws.split('.');
    const forged = JSON.parse(Buffer.from(claims ?? '', 'base64url').toString()) as object;
    const text = JSON.stringify({ ...forged, iss: VICTIM });
    const jws = `${header}.${Buffer.from(text).toString('base64url')}.${signature}`;
    publish(sensorNats, { ...record, jws }, payload);
    const refused = await refusal('RECORD_SIGNATURE_INVALID', since);
    expect(refused).toMatchObject({ presented_by: 'sensor-implant-1', subject: OWN });
    // Nobody is framed: the victim signed nothing, so nobody is named as the signer.
    expect(refused.signed_by).toBeUndefined();
    await twinPasses();
  });

  test('a captured reading of another sensor is refused as its, presented by the thief', async () => {
    const { record, payload } = await captured(running, 'north.reading.sensor-cam-1');
    const since = running.ledger.size();
    publish(sensorNats, record, payload, OWN);
    const codes = 'RECORD_SUBJECT_MISMATCH or DOOR_SIGNER_NOT_PRESENTER';
    expect(await refusal(codes, since, record.id)).toMatchObject({
      presented_by: 'sensor-implant-1',
      signed_by: VICTIM,
    });
    await twinPasses();
  });

  test('a request that was answered, again: a replay', async () => {
    const since = running.ledger.size();
    const { bus: caller } = await analyzer.client();
    const sbj = 'svc.llm.analyzer-implant-2';
    const reply = '_INBOX.analyzer-implant-2.llm.n1';
    const payload = toBytes({ method: 'GET', path: '/x', contentType: 'text/plain', body: '' });
    const aud = ['spiffe://city.example/service/llm'];
    const record = caller.sign({ aud, sbj, rpl: reply, knd: 'tool.call', payload });
    publish(analyzerNats, record, payload, sbj, reply);
    const isAnswer = (entry: LedgerEntry) =>
      entry.type === 'record' && entry.record.claims.par.includes(record.id);
    await running.ledger.entry(isAnswer, since);
    publish(analyzerNats, record, payload, sbj, reply);
    expect(await refusal('RECORD_REPLAYED', since)).toMatchObject({
      presented_by: 'analyzer-implant-2',
      signed_by: analyzer.self.id,
      record: record.id,
    });
    expect(entriesOf(running).filter(isAnswer)).toHaveLength(1);
    await twinPasses();
  });

  test('another payload under a genuine signature', async () => {
    const since = running.ledger.size();
    const own = draft();
    const record = bus.sign(own);
    publish(
      sensorNats,
      record,
      Buffer.from(Buffer.from(own.payload).toString().replace('60', '99')),
    );
    expect(await refusal('RECORD_PAYLOAD_MISMATCH', since, record.id)).toMatchObject({
      presented_by: 'sensor-implant-1',
      signed_by: sensor.self.id,
    });
    await twinPasses();
  });

  test('a record for another audience, or for another subject', async () => {
    const since = running.ledger.size();
    const elsewhere = draft({ aud: ['spiffe://city.example/agent/action/north/action-1'] });
    const misled = bus.sign(elsewhere);
    publish(sensorNats, misled, elsewhere.payload);
    expect(await refusal('RECORD_AUDIENCE_MISMATCH', since, misled.id)).toMatchObject({
      presented_by: 'sensor-implant-1',
      signed_by: sensor.self.id,
    });
    const other = draft({ sbj: 'north.reading.sensor-cam-1' });
    const moved = bus.sign(other);
    publish(sensorNats, moved, other.payload, OWN);
    expect(await refusal('RECORD_SUBJECT_MISMATCH', since, moved.id)).toMatchObject({
      presented_by: 'sensor-implant-1',
      signed_by: sensor.self.id,
    });
    await twinPasses();
  });

  test('a service is no reflector: a reply subject that is not the caller’s inbox', async () => {
    const { bus: caller } = await analyzer.client();
    const request = { method: 'POST', path: '/x', contentType: 'application/json', body: '{}' };
    for (const reply of [
      'ledger.entry',
      '_INBOX.analyzer-analyzer-1.llm.n1',
      'north.finding.analyzer-analyzer-1',
    ]) {
      const since = running.ledger.size();
      const payload = toBytes(request);
      const sbj = 'svc.llm.analyzer-implant-2';
      const aud = ['spiffe://city.example/service/llm'];
      const record = caller.sign({ aud, sbj, rpl: reply, knd: 'tool.call', payload });
      publish(analyzerNats, record, payload, sbj, reply);
      expect(await refusal('DOOR_REPLY_INVALID', since)).toMatchObject({
        presented_by: 'analyzer-implant-2',
        subject: sbj,
      });
    }
    const timeoutMs = 10_000;
    const answer = await caller.request({
      service: 'llm',
      request,
      recordKind: 'tool.call',
      timeoutMs,
    });
    expect(answer.ok && answer.payload.status).toBe(404);
  });
});

describe('what the ledger refuses', () => {
  test('a genuine record of another, submitted by somebody who saw it', async () => {
    const since = running.ledger.size();
    const { record, payload } = await captured(running, 'north.reading.sensor-cam-1');
    publish(sensorNats, record, payload, 'custody.append.sensor-implant-1');
    expect(await refusal('LEDGER_NOT_OWN_RECORD', since)).toMatchObject({
      presented_by: sensor.self.id,
      signed_by: VICTIM,
    });
    await twinPasses();
  });

  test('two records under one sequence number are kept as proof against their signer', async () => {
    const since = running.ledger.size();
    // The session of a process, in two copies of it.
    const session = randomBytes(16).toString('base64url');
    const copy = () =>
      createRecordSigner({ source: sensor.source, clock: Date.now, random: randomBytes, session });
    const append = 'custody.append.sensor-implant-1';
    const [one, two] = [draft(), draft()];
    const first = copy().sign(one);
    const second = copy().sign(two);
    publish(sensorNats, first, one.payload, append);
    await running.ledger.entry((entry) => isRecord(entry, first.id), since);
    expect(running.ledger.equivocations()).toEqual([]);
    publish(sensorNats, second, two.payload, append);
    const proof = await running.ledger.entry(({ type }) => type === 'equivocation', since);
    expect(proof).toMatchObject({ by: sensor.self.id, other: first.id });
    expect(await refusal('LEDGER_EQUIVOCATION', since)).toMatchObject({
      presented_by: sensor.self.id,
      signed_by: sensor.self.id,
    });
    await twinPasses();
  });

  test('after all this every process of the swarm is the one that was started', () => {
    expect(running.status().processes.reduce((sum, { restarts }) => sum + restarts, 0)).toBe(0);
  });
});
