import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { leafOf, leafText } from '#custody/ledger/leaf.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import { verifyConsistency } from '#custody/log/proof.ts';
import { parseRecord } from '#custody/record/parse.ts';
import type { RecordId } from '#custody/record.ts';
import { MEMBERS, startSwarm, type TestLedger, type TestSwarm } from '#test/support/swarm.ts';

const KILLS = 100;
const BURST = 12;
/** Without the gate the broker lets nobody in for two seconds: members come back just after it. */
const DELAYS = { gate: () => 0, member: () => 0.3 + Math.random() * 0.2 };

let swarm: TestSwarm;
let ledger: TestLedger;

beforeAll(async () => {
  swarm = await startSwarm({ delays: DELAYS, handshakeSeconds: 2 });
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

/** The tree over what storage confirms, as a checkpoint would sign it: it grows with each look. */
function growing() {
  const tree = createMerkleTree(createMemoryHashStore());
  return ({ ledger: of }: TestLedger, size = of.durable()) => {
    const limit = size - tree.size();
    const fresh = limit > 0 ? of.list({ since: tree.size(), limit }) : [];
    for (const entry of fresh) tree.append(leafText(leafOf(entry)));
    return { tree, size, root: tree.root(size) };
  };
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

    const clients = [camera.client, analyzer.client, ledger.client];
    const heads: { size: number; root: Uint8Array }[] = [];
    const headOf = growing();
    const began = performance.now();
    let kills = 0;
    while (kills < KILLS) {
      // Whoever is met in a handshake notices after ten seconds: all are back, and sending goes on.
      const before = sent;
      while (sent === before || !clients.every(({ link }) => link.connected())) await pause(5);
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
    expect(kills).toBe(KILLS);

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
    const after = growing()(ledger, ledger.restored);
    expect([ledger.restored, after.root]).toEqual([before.size, before.root]);
    for (const { size: oldSize, root: oldRoot } of heads) {
      const path = after.tree.consistency(oldSize);
      const claim = { oldSize, oldRoot, size: after.size, root: after.root, path };
      expect(verifyConsistency(claim)).toBe(true);
    }
  }, 420_000);
});
