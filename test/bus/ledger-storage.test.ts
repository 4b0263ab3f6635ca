import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BusClient } from '#bus/client/bus-client.ts';
import { createStreamStorage, type StreamStorage } from '#bus/ledger-storage.ts';
import { LEDGER_CHECKPOINTS, LEDGER_ENTRIES } from '#bus/subjects.ts';
import { MEMBERS, startSwarm, type TestSwarm } from '#test/support/swarm.ts';

let swarm: TestSwarm;
let client: BusClient;
beforeAll(async () => {
  swarm = await startSwarm({ handshakeSeconds: 2 });
  await swarm.streams();
  client = (await swarm.client(MEMBERS.ledger)).client;
});
afterAll(async () => {
  await client?.close();
  await swarm?.stop();
});

interface Opened extends StreamStorage {
  readonly foreign: string[];
}

/** As one process of the ledger has it. Both streams are used, so that tests do not meet. */
function open(stream: { readonly name: string; readonly subject: string }, link = client.link) {
  const foreign: string[] = [];
  const storage: Opened = {
    foreign,
    ...createStreamStorage({
      link,
      self: MEMBERS.ledger,
      stream,
      nonce: randomBytes(8).toString('hex'),
      onForeign: (detail) => foreign.push(detail),
    }),
  };
  return storage;
}

const entry = (id: string, text = id) => ({ id, bytes: Buffer.from(text) });
async function texts(storage: StreamStorage): Promise<string[]> {
  const found: string[] = [];
  for await (const bytes of storage.read()) found.push(Buffer.from(bytes).toString());
  return found;
}

describe('the ledger’s storage', () => {
  test('takes many at a time, in order; a second process reads them and goes on', async () => {
    const first = open(LEDGER_ENTRIES);
    expect(await first.last()).toBeUndefined();
    expect(await texts(first)).toEqual([]);
    const many = Array.from({ length: 300 }, (_, index) => entry(`e${index}`));
    expect(await first.append(many)).toBe(300);
    const second = open(LEDGER_ENTRIES);
    expect(await texts(second)).toEqual(many.map(({ id }) => id));
    expect(await second.append([entry('e300')])).toBe(1);
    expect(Buffer.from((await open(LEDGER_ENTRIES).last()) ?? []).toString()).toBe('e300');
    expect(second.foreign).toEqual([]);

    // The first one, paused meanwhile, finds what is not its own and never writes again.
    expect(await first.append([entry('late')])).toBe(0);
    expect(first.foreign).toHaveLength(1);
    expect(await first.append([entry('later')])).toBe(0);
    expect(await texts(second)).toHaveLength(301);
    // Its honest twin, which is up to date, still does.
    expect(await second.append([entry('e301')])).toBe(1);
  });

  test('an entry in doubt is read back: the same bytes are stored once, others under its id are foreign', async () => {
    const before = open(LEDGER_CHECKPOINTS);
    await before.last();
    expect(await before.append([entry('a')])).toBe(1);
    const same = open(LEDGER_CHECKPOINTS);
    await same.last();
    const other = open(LEDGER_CHECKPOINTS);
    await other.last();
    // Stored by a process that did not live to learn it; two others do not know.
    expect(await before.append([entry('b')])).toBe(1);
    expect(await same.append([entry('b'), entry('c')])).toBe(2);
    expect(await other.append([entry('b', 'another b')])).toBe(0);
    expect([same.foreign.length, other.foreign.length]).toEqual([0, 1]);
    expect(await texts(open(LEDGER_CHECKPOINTS))).toEqual(['a', 'b', 'c']);
  });

  test('does not confirm what the broker did not answer, and finds out when it is back', async () => {
    const storage = open(LEDGER_CHECKPOINTS);
    await storage.last();
    await swarm.broker.kill();
    expect(await storage.append([entry('d')]).catch(() => 0)).toBe(0);
    await swarm.broker.start();
    let stored = 0;
    while (stored === 0) stored = await storage.append([entry('d')]).catch(() => 0);
    expect(stored).toBe(1);
    expect((await texts(open(LEDGER_CHECKPOINTS))).filter((text) => text === 'd')).toEqual(['d']);
    expect(storage.foreign).toEqual([]);
  }, 60_000);
});
