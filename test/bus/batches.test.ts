import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseRecord } from '#custody/record/parse.ts';
import type { RecordId } from '#custody/record.ts';
import { verifyAncestry } from '#custody/verify.ts';
import { MEMBERS, startSwarm, type TestLedger, type TestSwarm } from '#test/support/swarm.ts';
import { bundleSet } from '#test/support/test-ca.ts';

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
const numberOf = (bytes: Uint8Array) =>
  (JSON.parse(Buffer.from(bytes).toString()) as { id: number }).id;

/** The batches that these records of the ledger were signed in; `undefined` for one by itself. */
function batchesOf(ids: readonly RecordId[]) {
  return ids.map((id) => {
    const entry = ledger.ledger.get(id);
    if (entry === undefined) throw new Error(`the ledger does not hold ${id}`);
    const record = parseRecord(entry.record.jws);
    if (!record.ok) throw new Error(record.code);
    return record.value.batch?.jws;
  });
}

describe('batches over the broker', () => {
  test('what is sent in one turn is received in order, entered, and verified offline', async () => {
    const analyzer = await swarm.client(MEMBERS.analyzer);
    const camera = await swarm.client(MEMBERS.camera);
    const got: number[] = [];
    analyzer.client.consume({
      kind: 'reading',
      handler: (message) => void got.push(numberOf(message.payload)),
    });
    const send = (n: number) =>
      camera.client.send({
        kind: 'reading',
        audience: [MEMBERS.analyzer.id],
        payload: payload(n),
        recordKind: 'root',
      });
    const total = 100;
    const ids = await Promise.all(Array.from({ length: total }, (_, n) => send(n)));
    const last = await send(total);
    await camera.client.flush();
    await analyzer.client.flush();
    expect(got).toEqual(Array.from({ length: total + 1 }, (_, n) => n));
    expect(new Set(batchesOf(ids)).size).toBe(2);
    expect(batchesOf(ids)).not.toContain(undefined);
    expect(batchesOf([last])).toEqual([undefined]);
    const evidence = ids.flatMap((id) => ledger.ledger.ancestry(id, 10));
    const trust = { bundles: bundleSet(swarm.ca) };
    for (const root of ids) expect(verifyAncestry(evidence, { ...trust, root })?.proven).toBe(true);
    for (const { client, refusals } of [camera, analyzer]) {
      expect(refusals).toEqual([]);
      expect(client.status()).toMatchObject({
        sent: { outstanding: 0, again: 0 },
        ledger: { unconfirmed: 0, refused: {} },
      });
      await client.close();
    }
  });

  test('requests of one turn, and their answers, each find their own', async () => {
    const llm = await swarm.client(MEMBERS.llm);
    const analyzer = await swarm.client(MEMBERS.analyzer);
    await llm.client.serve({
      service: 'llm',
      handler: async ({ payload: { body } }) => ({
        response: { status: 200, contentType: 'text/plain', body: `answer to ${body}` },
      }),
    });
    const ask = (n: number) =>
      analyzer.client.request({
        service: 'llm',
        request: { method: 'POST', path: '/', contentType: 'text/plain', body: String(n) },
        recordKind: 'tool.call',
        timeoutMs: 30_000,
      });
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => ask(n)));
    const requests = answers.map((answer, n) => {
      if (!answer.ok) throw new Error(answer.detail);
      expect(answer.payload.body).toBe(`answer to ${n}`);
      expect(answer.claims.par).toEqual([answer.requestId]);
      return answer.requestId;
    });
    await analyzer.client.flush();
    expect(new Set(batchesOf(requests)).size).toBe(1);
    for (const { client, refusals } of [analyzer, llm]) {
      expect(refusals).toEqual([]);
      await client.close();
    }
  });

  test('a record of a batch that is altered on the way is refused, and its neighbours are taken', async () => {
    const analyzer = await swarm.client(MEMBERS.analyzer);
    const camera = await swarm.client(MEMBERS.camera);
    const got: number[] = [];
    analyzer.client.consume({
      kind: 'reading',
      handler: (message) => void got.push(numberOf(message.payload)),
    });
    const { link } = camera.client;
    // Between the client and the broker, where a broker could do it.
    const broker = { ...link };
    let altered = 0;
    link.publish = (message) => {
      const spoilt = message.subject.includes('.reading.') && numberOf(message.payload) === 1;
      if (spoilt) altered += 1;
      broker.publish(spoilt && altered === 1 ? { ...message, payload: payload(99) } : message);
    };
    const ids = await Promise.all(
      [0, 1, 2].map((n) =>
        camera.client.send({
          kind: 'reading',
          audience: [MEMBERS.analyzer.id],
          payload: payload(n),
          recordKind: 'root',
        }),
      ),
    );
    await camera.client.flush();
    expect(new Set(batchesOf(ids)).size).toBe(1);
    // What a sender has not heard of for three seconds it repeats: this one behind its neighbours, and
    // those of the tests before this one to a receiver that was not there then.
    const codes = analyzer.refusals.flatMap(({ code, recordId }) =>
      recordId !== undefined && ids.includes(recordId) ? [code] : [],
    );
    expect(codes.filter((code) => code !== 'RECORD_SEQUENCE_REGRESSED')).toEqual([
      'RECORD_PAYLOAD_MISMATCH',
    ]);
    // Rejected, it was signed again; nothing is lost by what was done to it.
    expect([...got].sort()).toEqual([0, 1, 2]);
    for (const { client } of [camera, analyzer]) await client.close();
  });
});
