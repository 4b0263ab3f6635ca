import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BusClient } from '#bus/client/bus-client.ts';
import { parseReceipt } from '#bus/client/receipt.ts';
import { receiptSubject } from '#bus/subjects.ts';
import { createLogCopy } from '#cli/wiring/log-copy.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import { judgePast } from '#custody/ledger/past.ts';
import type { RecordId } from '#custody/record.ts';
import type { RunningProcess } from '#runtime/launcher/running.ts';
import { MEMBERS } from '#test/support/swarm.ts';
import { createLedgerBench, type LedgerBench } from './process.ts';
import { openReader } from './reader.ts';

const KILLS = 100;
const BROKER_KILLS = 25;
/** Long enough that records flow and heads are signed, short enough that both are interrupted. */
const LIFE_MS = 1200;

let bench: LedgerBench;
let clients: BusClient[];
/** What the ledger gave a receipt for, in whichever of its lives. */
let receipted: Set<RecordId>;
let submitted: RecordId[];
let pressing: Promise<void>[];
let alive: boolean;
beforeEach(async () => {
  bench = await createLedgerBench();
  receipted = new Set();
  submitted = [];
  alive = true;
  clients = [];
  for (const member of [MEMBERS.camera, MEMBERS.camera2]) {
    const source = await bench.swarm.source(member);
    bench.issued(source.svid());
    const { client } = await bench.swarm.client(member, { source, maxUnconfirmed: 200 });
    client.link.subscribe(receiptSubject(member), undefined, ({ data }) => {
      const receipt = parseReceipt(data);
      if (receipt.ok) for (const id of receipt.value.appended) receipted.add(id);
    });
    clients.push(client);
  }
  pressing = clients.map(press);
}, 120_000);
afterEach(async () => {
  alive = false;
  await Promise.all(clients.map((client) => client.close()));
  await bench.clear();
});

/** Some fifty records a second, as far as the ledger gives receipts for them. */
async function press(client: BusClient): Promise<void> {
  for (let number = 0; alive; number += 1) {
    const payload = Buffer.from(String(number));
    submitted.push(await client.record({ kind: 'root', payload }));
    await delay(20);
  }
}

/** Ends the load; every record of it gets its receipt. */
async function settle(): Promise<void> {
  alive = false;
  await Promise.all(pressing);
  await Promise.all(clients.map((client) => client.flush()));
}

/** Reads storage anew, and holds it against receipts and against what each witness has seen. */
async function judge(): Promise<{ readonly heads: number }> {
  const reader = await openReader(bench);
  const { view, faults } = reader;
  expect(faults).toEqual([]);
  const all = view.list({ limit: Number.POSITIVE_INFINITY });
  const ids = all.flatMap((entry: LedgerEntry) =>
    entry.type === 'record' ? [entry.record.id] : [],
  );
  expect(new Set(ids).size, 'a record stands twice').toBe(ids.length);
  const held = new Set(ids);
  const lost = [...receipted].filter((id) => !held.has(id));
  expect(lost, 'records with a receipt are missing').toEqual([]);
  expect(all.map(({ index }) => index)).toEqual(all.map((_, index) => index));
  // The tree of another reader, from the entries alone.
  const copy = createLogCopy({ policyAt: () => bench.policy, onRewritten: expect.unreachable });
  for (const entry of all) copy.entry(entry);
  const { origin, log } = bench.policy;
  for (const { client } of bench.witnesses) {
    const last = await client.last(origin);
    const present = { origin, logKeys: log, tree: copy.tree };
    if (last?.note !== undefined) expect(judgePast(last.note, present)).toMatchObject({ ok: true });
  }
  const heads = view.checkpoints().length;
  await reader.close();
  return { heads };
}

async function killed(running: RunningProcess): Promise<void> {
  running.kill();
  await running.exited;
}

test(`a ledger killed ${KILLS} times under load loses no record that it gave a receipt for, holds none twice, and has one history`, async () => {
  for (let round = 0; round < KILLS; round += 1) {
    const running = await bench.start();
    // It may find what its life before has left on its way: then it ends, and the next one reads it.
    await Promise.race([running.exited, delay(randomInt(LIFE_MS))]);
    await killed(running);
    const witness = bench.witnesses[round % (3 * bench.witnesses.length)];
    if (witness !== undefined) {
      await killed(witness.process());
      await witness.start();
    }
  }
  const last = await bench.start();
  await settle();
  await last.stop(5000);
  const { heads } = await judge();
  expect(new Set(submitted)).toEqual(receipted);
  expect(heads).toBeGreaterThan(KILLS / 4);
}, 1_800_000);

test(`a broker killed ${BROKER_KILLS} times under load loses no record that the ledger gave a receipt for, and the log goes on`, async () => {
  const { broker } = bench.swarm;
  let ledger = await bench.start();
  for (let round = 0; round < BROKER_KILLS; round += 1) {
    // All come back within a second, each at a time of its own.
    await delay(1000 + randomInt(2 * LIFE_MS));
    await broker.kill();
    await broker.start();
  }
  await settle();
  await ledger.stop(5000);
  ledger = await bench.start();
  await ledger.stop(5000);
  expect((await judge()).heads).toBeGreaterThan(0);
  expect(new Set(submitted)).toEqual(receipted);
}, 1_800_000);
