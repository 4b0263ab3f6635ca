import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BusClient } from '#bus/client/bus-client.ts';
import { connectNats } from '#bus/client/nats.ts';
import { LEDGER_ENTRIES } from '#bus/subjects.ts';
import { RECORDED_PATH } from '#cli/wiring/ledger-queries.ts';
import { encodeEntry, entryId, type LedgerEntry } from '#custody/ledger/entry.ts';
import { verifyRecorded } from '#custody/ledger/recorded.ts';
import type { RecordId } from '#custody/record.ts';
import type { RunningProcess } from '#runtime/launcher/running.ts';
import { MEMBERS } from '#test/support/swarm.ts';
import { createLedgerBench, type LedgerBench } from './process.ts';
import { openReader, type Reader } from './reader.ts';

let bench: LedgerBench;
let reader: Reader;
let camera: BusClient;
let mcp: BusClient;
let ledger: RunningProcess;
beforeAll(async () => {
  bench = await createLedgerBench();
  const { swarm } = bench;
  const source = await swarm.source(MEMBERS.camera);
  const asker = await swarm.source(MEMBERS.mcp);
  for (const one of [source, asker]) bench.issued(one.svid());
  ledger = await bench.start();
  camera = (await swarm.client(MEMBERS.camera, { source })).client;
  mcp = (await swarm.client(MEMBERS.mcp, { source: asker })).client;
  reader = await openReader(bench);
});
afterAll(async () => {
  await camera?.close();
  await mcp?.close();
  await reader?.close();
  await bench?.clear();
});

async function record(...texts: readonly string[]): Promise<RecordId[]> {
  const ids: RecordId[] = [];
  for (const text of texts) {
    ids.push(await camera.record({ kind: 'root', payload: Buffer.from(text) }));
  }
  await camera.flush();
  return ids;
}

const AWAY: ReadonlySet<string> = new Set(['REQUEST_TIMED_OUT', 'REQUEST_NO_RESPONDER']);

/** Asks the ledger as a high-risk tool does, and judges its answer. */
async function proven(id: RecordId) {
  const body = JSON.stringify({ id });
  const request = { method: 'POST', path: RECORDED_PATH, contentType: 'application/json', body };
  const asking = () =>
    mcp.request({ service: 'ledger', request, recordKind: 'tool.call', timeoutMs: 2000 });
  let answer = await asking();
  // A question that was asked while the broker was away is lost.
  while (!answer.ok && AWAY.has(answer.code)) answer = await asking();
  if (!answer.ok) return answer;
  const { policy } = bench;
  const asked = { id, policy, now: Date.now(), maxAgeMs: 10_000 };
  return verifyRecorded(JSON.parse(answer.payload.body), asked);
}

const storeOf = () => join(bench.swarm.broker.dir, 'store');
/** As somebody does who owns the broker's disk. */
async function withBrokerDown(work: () => Promise<void>): Promise<void> {
  await bench.swarm.broker.kill();
  await work();
  await bench.swarm.broker.start();
}
const copyStore = (name: string) =>
  withBrokerDown(() => cp(storeOf(), join(bench.swarm.broker.dir, name), { recursive: true }));
const putStore = (name: string) =>
  withBrokerDown(async () => {
    await rm(storeOf(), { recursive: true });
    await cp(join(bench.swarm.broker.dir, name), storeOf(), { recursive: true });
  });

/** As somebody does who owns the broker's operator key: the stream anew, with these entries. */
async function rewrite(entries: readonly LedgerEntry[]): Promise<void> {
  const { swarm } = bench;
  const source = await swarm.source(MEMBERS.supervisor);
  const nats = await connectNats({
    ...swarm.connection(source),
    nkeySeed: swarm.broker.operatorSeed,
  });
  const manager = await jetstreamManager(nats, { checkAPI: false });
  const { config } = await manager.streams.info(LEDGER_ENTRIES.name);
  await manager.streams.delete(LEDGER_ENTRIES.name);
  await manager.streams.add(config);
  const stream = jetstream(nats);
  for (const entry of entries) {
    await stream.publish(LEDGER_ENTRIES.subject, encodeEntry(entry), { msgID: entryId(entry) });
  }
  await nats.close();
}

async function refusedStart(): Promise<string> {
  const running = await bench.start();
  return (await running.exited).detail;
}

async function witnessedUpTo(size: number): Promise<void> {
  const head = () => Number(reader.view.checkpoints().at(-1)?.split('\n')[1] ?? 0);
  await expect.poll(head).toBeGreaterThanOrEqual(size);
}

test('a ledger process proves what it holds by a tree that witnesses saw', async () => {
  const [first] = await record('1', '2', '3');
  if (first === undefined) throw new Error('no record');
  expect(await proven(first)).toMatchObject({ value: { index: 2 } });
  await witnessedUpTo(5);
  expect(reader.faults).toEqual([]);
});

test('another life of it goes on with the same log', async () => {
  await ledger.stop(3000);
  await copyStore('earlier');
  ledger = await bench.start();
  const [again] = await record('4', '5');
  if (again === undefined) throw new Error('no record');
  expect(await proven(again)).toMatchObject({ ok: true });
  await ledger.stop(3000);
  await copyStore('newest');
  await expect.poll(() => reader.view.counts().records.root).toBe(5);
  expect(reader.faults).toEqual([]);
});

test('entries and heads put back to an earlier state are refused: witnesses remember more; readers too', async () => {
  await putStore('earlier');
  expect(await refusedStart()).toMatch(
    /^LEDGER_TRUNCATED: .* signed for \d+, as .*witness-\d shows/,
  );
  const alarms = bench.said.filter(({ type }) => type === 'alarm');
  expect(alarms).toMatchObject([{ code: 'LEDGER_REWRITTEN' }]);
  await expect
    .poll(() => reader.faults.at(-1))
    .toMatch(/^storage holds \d+ entries, and held \d+ before/);
});

test('fewer entries than heads speak of are refused', async () => {
  await putStore('newest');
  await rewrite(reader.view.list().slice(0, -2));
  expect(await refusedStart()).toMatch(/^LEDGER_TRUNCATED: .* this ledger signed for/);
});

test('another entry in the place of one is refused, and no witness has cosigned anything for it', async () => {
  const cosigned = await Promise.all(bench.witnesses.map(({ client }) => lastOf(client)));
  const entries = reader.view.list();
  const victim = entries.findLast((entry) => entry.type === 'record');
  if (victim === undefined) throw new Error('no record');
  await rewrite(entries.map((one) => (one === victim ? { ...victim, at: victim.at + 1 } : one)));
  expect(await refusedStart()).toMatch(/^LEDGER_REWRITTEN: the first \d+ entries are not those/);
  const now = await Promise.all(bench.witnesses.map(({ client }) => lastOf(client)));
  expect(now).toEqual(cosigned);
  // Without a restart of the broker: the reader looks again by itself.
  await expect
    .poll(() => reader.faults.at(-1))
    .toMatch(/^storage holds another entry \d+ than it held before/);
});

test('the true storage is taken again, with every record, by a ledger that any two witnesses know', async () => {
  await putStore('newest');
  const [first] = bench.witnesses;
  first?.process().kill();
  await first?.process().exited;
  ledger = await bench.start();
  const [next] = await record('6');
  if (next === undefined) throw new Error('no record');
  expect(await proven(next)).toMatchObject({ ok: true });
  await expect.poll(() => reader.view.counts().records.root).toBe(6);
});

test('a ledger that was paused while another took its place writes nothing and ends', async () => {
  const { length } = reader.faults;
  process.kill(ledger.pid, 'SIGSTOP');
  const paused = ledger;
  ledger = await bench.start();
  const [meanwhile] = await record('7');
  if (meanwhile === undefined) throw new Error('no record');
  expect(await proven(meanwhile)).toMatchObject({ ok: true });
  process.kill(paused.pid, 'SIGCONT');
  const adding = setInterval(() => {
    void camera.record({ kind: 'root', payload: Buffer.from('more') });
  }, 100);
  const { detail } = await paused.exited;
  clearInterval(adding);
  expect(detail).toMatch(
    /LEDGER holds an entry at \d+ that is not|CHECKPOINT holds|LEDGER_TRUNCATED/,
  );
  await camera.flush();
  const [after] = await record('8');
  if (after === undefined) throw new Error('no record');
  expect(await proven(after)).toMatchObject({ ok: true });
  expect(reader.faults).toHaveLength(length);
});

async function lastOf(client: LedgerBench['witnesses'][number]['client']) {
  return (await client.last(bench.policy.origin))?.note?.split('\n').slice(0, 3);
}
