import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BusClient } from '#bus/client/bus-client.ts';
import { leafOf, leafText } from '#custody/ledger/leaf.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import { verifyConsistency } from '#custody/log/proof.ts';
import { parseRecord } from '#custody/record/parse.ts';
import type { RecordId } from '#custody/record.ts';
import { MEMBERS, startSwarm, type TestLedger, type TestSwarm } from '#test/support/swarm.ts';

const KILLS = 100;
/** Whatever the machine, the test has an end; it tells how often it has killed. */
const KILLING_MS = 220_000;
const LEAST_KILLS = 30;
const BURST = 12;

let swarm: TestSwarm;
let ledger: TestLedger;

beforeAll(async () => {
  swarm = await startSwarm();
  await swarm.streams();
  ledger = await swarm.ledger();
});
afterAll(async () => {
  await ledger?.close();
  await swarm?.stop();
});

const payload = (n: number) => Buffer.from(JSON.stringify({ id: n }));
const idOf = (bytes: Uint8Array) =>
  String((JSON.parse(Buffer.from(bytes).toString()) as { id: number }).id);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function connected({ link }: BusClient): Promise<void> {
  while (!link.connected()) await pause(5);
}

/** The tree over what storage has confirmed so far, as a checkpoint would sign it. */
function headOf({ ledger: of }: TestLedger, size = of.durable()) {
  const tree = createMerkleTree(createMemoryHashStore());
  for (const entry of of.list({ limit: size })) tree.append(leafText(leafOf(entry)));
  return { tree, size, root: tree.root() };
}

describe('kill -9 of the broker under load', () => {
  test('no acknowledged record is missing, none is there twice, and the tree has only grown', async () => {
    const analyzer = await swarm.client(MEMBERS.analyzer);
    const camera = await swarm.client(MEMBERS.camera);
    const handled: string[] = [];
    analyzer.client.consume({
      kind: 'reading',
      idOf,
      handler: (message) => void handled.push(idOf(message.payload)),
    });
    const ids: RecordId[] = [];
    let sent = 0;
    let over = false;
    const load = (async () => {
      while (!over) {
        const sending = Array.from({ length: BURST }, () => {
          const draft = {
            kind: 'reading',
            audience: [MEMBERS.analyzer.id],
            payload: payload(sent),
          };
          sent += 1;
          return camera.client.send({ ...draft, recordKind: 'root' });
        });
        ids.push(...(await Promise.all(sending)));
        await pause(20);
      }
    })();

    const heads: { size: number; root: Uint8Array }[] = [];
    const began = performance.now();
    let kills = 0;
    while (kills < KILLS && performance.now() - began < KILLING_MS) {
      await connected(camera.client);
      // Anywhere in what happens between two bursts, acknowledgements and appends.
      await pause(Math.random() * 400);
      const { size, root } = headOf(ledger);
      heads.push({ size, root });
      await swarm.broker.kill();
      await swarm.broker.start();
      kills += 1;
    }
    over = true;
    await load;
    await camera.client.flush();
    await analyzer.client.flush();
    const seconds = Math.round((performance.now() - began) / 1000);
    process.stdout.write(`broker killed ${kills} times in ${seconds} s, ${sent} messages\n`);
    expect(kills).toBeGreaterThanOrEqual(LEAST_KILLS);

    // Handled once each, whatever was sent again.
    const wanted = Array.from({ length: sent }, (_, n) => String(n));
    expect([...handled].sort((a, b) => Number(a) - Number(b))).toEqual(wanted);
    const { sent: status, ledger: confirmed } = camera.client.status();
    expect(status).toMatchObject({ outstanding: 0, acknowledged: sent });
    expect(confirmed).toMatchObject({ unconfirmed: 0, refused: {} });
    for (const { client } of [camera, analyzer]) await client.close();

    // What was receipted stands in the ledger, once.
    const before = headOf(ledger, ledger.ledger.size());
    const entries = ledger.ledger.list({ limit: before.size });
    const held = entries.flatMap((entry) => (entry.type === 'record' ? [entry.record.id] : []));
    expect(new Set(held).size).toBe(held.length);
    expect(ids.filter((id) => !new Set(held).has(id))).toEqual([]);
    const batched = entries.filter((entry) => {
      const record = entry.type === 'record' ? parseRecord(entry.record.jws) : undefined;
      return record?.ok === true && record.value.batch !== undefined;
    });
    expect(batched.length).toBeGreaterThan(sent / 2);

    // Storage holds the very same history, and every earlier one is its beginning.
    await ledger.close();
    ledger = await swarm.ledger();
    const after = headOf(ledger, ledger.restored);
    expect([ledger.restored, after.root]).toEqual([before.size, before.root]);
    for (const { size: oldSize, root: oldRoot } of heads) {
      const path = after.tree.consistency(oldSize);
      const claim = { oldSize, oldRoot, size: after.size, root: after.root, path };
      expect(verifyConsistency(claim)).toBe(true);
    }
  }, 420_000);
});
