import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Verified } from '#bus/verified.ts';
import { MEMBERS, startSwarm, type TestLedger, type TestSwarm } from '#test/support/swarm.ts';

const ANALYZERS = 'spiffe://city.example/agent/analyzer/north/*';
let swarm: TestSwarm;
let ledger: TestLedger;

beforeAll(async () => {
  swarm = await startSwarm();
  await swarm.streams();
  await swarm.streams();
  ledger = await swarm.ledger();
});
afterAll(async () => {
  await ledger?.close();
  await swarm?.stop();
});

function reading(n: number): Uint8Array {
  return Buffer.from(JSON.stringify({ id: n, value: n * 2 }));
}

function idOf(payload: Uint8Array): string {
  return String((JSON.parse(Buffer.from(payload).toString()) as { id: number }).id);
}

/** Collects `id`s until `count` of them are there. */
function collector(count: number) {
  const ids: string[] = [];
  let resolve: () => void = () => undefined;
  const all = new Promise<void>((done) => {
    resolve = done;
  });
  const handler = (message: Verified<Uint8Array>) => {
    ids.push(idOf(message.payload));
    if (ids.length === count) resolve();
  };
  return { ids, all, handler };
}

describe('the bus client', () => {
  test('a signed reading reaches every addressed analyzer once, in order, and the ledger', async () => {
    const one = await swarm.client(MEMBERS.analyzer);
    const two = await swarm.client(MEMBERS.analyzer2);
    const camera = await swarm.client(MEMBERS.camera);
    const [first, second] = [collector(50), collector(50)];
    one.client.consume({ kind: 'reading', handler: first.handler, idOf });
    two.client.consume({ kind: 'reading', handler: second.handler, idOf });
    const ids = [];
    for (let n = 0; n < 50; n += 1) {
      const draft = { kind: 'reading', audience: [ANALYZERS], payload: reading(n) };
      ids.push(await camera.client.send({ ...draft, recordKind: 'root' }));
    }
    await Promise.all([first.all, second.all]);
    await camera.client.flush();
    const expected = Array.from({ length: 50 }, (_, n) => String(n));
    expect(first.ids).toEqual(expected);
    expect(second.ids).toEqual(expected);
    expect(camera.client.status()).toMatchObject({
      sent: { outstanding: 0, acknowledged: 50, again: 0 },
      ledger: { unconfirmed: 0, refused: {} },
      refusals: {},
    });
    for (const id of ids) expect(ledger.ledger.get(id)).toBeDefined();
    expect([one.refusals, two.refusals, camera.refusals]).toEqual([[], [], []]);
    for (const { client } of [one, two, camera]) await client.close();
  });

  test('an acknowledgement is for the messages to one audience, and not for those to another', async () => {
    const one = await swarm.client(MEMBERS.analyzer);
    const two = await swarm.client(MEMBERS.analyzer2);
    const camera = await swarm.client(MEMBERS.camera);
    const [sent, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const byName = [MEMBERS.analyzer.id, MEMBERS.analyzer2.id];
    const handler = ({ claims }: Verified<Uint8Array>) =>
      claims.aud.length === 1 ? sent.promise : release.promise;
    one.client.consume({ kind: 'reading', handler, idOf });
    two.client.consume({ kind: 'reading', handler: () => {}, idOf });
    const acknowledged = () => camera.client.status().sent;
    const drafts = Array.from({ length: 7 }, (_, n) => (n < 5 ? [ANALYZERS] : byName));
    for (const [n, audience] of drafts.entries()) {
      await camera.client.send({
        kind: 'reading',
        audience,
        payload: reading(n),
        recordKind: 'root',
      });
    }
    sent.resolve();
    await expect.poll(() => acknowledged().acknowledged).toBeGreaterThanOrEqual(5);
    expect(acknowledged()).toMatchObject({ outstanding: 2, acknowledged: 5 });
    release.resolve();
    await camera.client.flush();
    expect(acknowledged()).toMatchObject({ outstanding: 0, acknowledged: 7, again: 0 });
    for (const { client } of [one, two, camera]) await client.close();
  });

  test('a request has the pinned service’s answer, with the request among its causes', async () => {
    const llm = await swarm.client(MEMBERS.llm);
    const analyzer = await swarm.client(MEMBERS.analyzer);
    await llm.client.serve({
      service: 'llm',
      handler: async ({ sender, payload }) => ({
        response: {
          status: 200,
          contentType: 'text/plain',
          body: `${sender.token} ${payload.path}`,
        },
        tool: { kind: 'model', model: 'city-small', rid: 'r1', signed: false },
      }),
    });
    const answer = await analyzer.client.request({
      service: 'llm',
      request: { method: 'POST', path: '/v1/chat/completions', contentType: '', body: '' },
      recordKind: 'tool.call',
      timeoutMs: 30_000,
    });
    if (!answer.ok) throw new Error(answer.detail);
    expect(answer.payload.body).toBe('analyzer-analyzer-1 /v1/chat/completions');
    expect(answer.signedBy).toBe(MEMBERS.llm.id);
    expect(answer.claims.par).toEqual([answer.requestId]);
    expect(answer.claims.tool?.model).toBe('city-small');
    await analyzer.client.flush();
    await llm.client.flush();
    expect(ledger.ledger.get(answer.recordId)).toBeDefined();
    await analyzer.client.close();
    await llm.client.close();
  });

  test('the ledger reads itself back from its stream', async () => {
    await ledger.close();
    const before = ledger.ledger.size();
    ledger = await swarm.ledger();
    expect(before).toBeGreaterThan(50);
    expect(ledger.restored).toBe(before);
  });
});
