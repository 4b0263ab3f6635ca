import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BusAlarm } from '#bus/client/alarms.ts';
import { MEMBERS, startSwarm, type TestLedger, type TestSwarm } from '#test/support/swarm.ts';

let swarm: TestSwarm;
let ledger: TestLedger;

// A swarm of its own for each: what a failed one leaves connected would consume for the next.
beforeEach(async () => {
  swarm = await startSwarm({ handshakeSeconds: 2 });
  await swarm.streams();
  ledger = await swarm.ledger();
});
afterEach(async () => {
  await ledger?.close();
  await swarm?.stop();
});

function reading(n: number): Uint8Array {
  return Buffer.from(JSON.stringify({ id: n }));
}

function idOf(payload: Uint8Array): string {
  return String((JSON.parse(Buffer.from(payload).toString()) as { id: number }).id);
}

describe('delivery', () => {
  test('rotations under load lose nothing, double nothing, reorder nothing and alarm nobody', async () => {
    const alarms: BusAlarm[] = [];
    const watched = { onAlarm: (alarm: BusAlarm) => void alarms.push(alarm) };
    const analyzer = await swarm.client(MEMBERS.analyzer, watched);
    const camera = await swarm.client(MEMBERS.camera, watched);
    const llm = await swarm.client(MEMBERS.llm, watched);
    const got: number[] = [];
    analyzer.client.consume({
      kind: 'reading',
      idOf,
      handler: ({ payload }) => {
        got.push(Number(idOf(payload)));
      },
    });
    await llm.client.serve({
      service: 'llm',
      handler: async ({ payload }) => ({
        response: { status: 200, contentType: 'text/plain', body: payload.body },
      }),
    });
    const total = 600;
    let answered = 0;
    const asking = (async () => {
      for (let n = 0; n < 60; n += 1) {
        const body = String(n);
        const answer = await analyzer.client.request({
          service: 'llm',
          request: { method: 'POST', path: '/echo', contentType: 'text/plain', body },
          recordKind: 'tool.call',
          timeoutMs: 30_000,
        });
        if (answer.ok && answer.payload.body === body) answered += 1;
      }
    })();
    for (let n = 0; n < total; n += 1) {
      const draft = { kind: 'reading', audience: [MEMBERS.analyzer.id], payload: reading(n) };
      await camera.client.send({ ...draft, recordKind: 'root' });
      if (n % 100 === 50) {
        for (const { source } of [camera, analyzer, llm]) {
          source.rotate(await swarm.ca.issue(source.svid().id));
        }
      }
    }
    await asking;
    await camera.client.flush();
    expect(answered).toBe(60);
    expect(got).toEqual(Array.from({ length: total }, (_, n) => n));
    for (const { client, refusals, source } of [camera, analyzer, llm]) {
      expect(refusals.map(({ code }) => code)).toEqual([]);
      expect(client.status().link.rotations).toBeGreaterThan(0);
      expect(client.status().link.thumbprint).toBe(source.svid().thumbprint);
    }
    expect(camera.client.status().sent.again).toBe(0);
    expect(alarms).toEqual([]);
    for (const { client } of [camera, analyzer, llm]) await client.close();
  }, 60_000);

  test('messages flow on the new SVID after the old one has ended', async () => {
    const analyzer = await swarm.client(MEMBERS.analyzer);
    // Long enough that a machine that stalls has it replaced in time.
    const ending = await swarm.source(MEMBERS.camera2, { notAfter: new Date(Date.now() + 15_000) });
    const camera = await swarm.client(MEMBERS.camera2, { source: ending });
    const old = ending.svid();
    const got: string[] = [];
    analyzer.client.consume({
      kind: 'reading',
      handler: ({ payload }) => void got.push(idOf(payload)),
    });
    const send = (n: number) =>
      camera.client.send({
        kind: 'reading',
        audience: [MEMBERS.analyzer.id],
        payload: reading(n),
        recordKind: 'root',
      });
    await send(1);
    ending.rotate(await swarm.ca.issue(MEMBERS.camera2.id));
    await new Promise((resolve) => setTimeout(resolve, old.notAfter.getTime() - Date.now() + 1500));
    await send(2);
    await camera.client.flush();
    expect(got).toEqual(['1', '2']);
    expect(camera.client.status().link).toMatchObject({ rotations: 1, reconnects: 0 });
    await camera.client.close();
    await analyzer.client.close();
  });

  test('a broker killed under load loses no message and no record', async () => {
    const analyzer = await swarm.client(MEMBERS.analyzer);
    const camera = await swarm.client(MEMBERS.camera);
    const got: string[] = [];
    analyzer.client.consume({
      kind: 'reading',
      idOf,
      handler: ({ payload }) => void got.push(idOf(payload)),
    });
    const total = 400;
    const sent: string[] = [];
    for (let n = 0; n < total; n += 1) {
      const draft = { kind: 'reading', audience: [MEMBERS.analyzer.id], payload: reading(n) };
      sent.push(await camera.client.send({ ...draft, recordKind: 'root' }));
      if (n === 150) {
        await swarm.broker.kill();
        await swarm.broker.start();
      }
    }
    await camera.client.flush();
    expect([...got].sort((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: total }, (_, n) => String(n)),
    );
    const { sent: status, ledger: confirmed } = camera.client.status();
    expect(status).toMatchObject({ outstanding: 0, acknowledged: total });
    expect(confirmed).toMatchObject({ unconfirmed: 0, refused: {} });
    for (const id of sent) expect(ledger.ledger.get(id as never)).toBeDefined();
    await camera.client.close();
    await analyzer.client.close();
  }, 60_000);

  test('a receiver that comes back is sent what it had not acknowledged', async () => {
    const first = await swarm.client(MEMBERS.analyzer2);
    const camera = await swarm.client(MEMBERS.camera);
    let seen = 0;
    let allSeen: () => void = () => undefined;
    const handled = new Promise<void>((resolve) => {
      allSeen = resolve;
    });
    first.client.consume({
      kind: 'reading',
      handler: () => {
        seen += 1;
        if (seen === 10) allSeen();
        if (seen > 3) throw new Error('full');
      },
    });
    const send = (n: number) =>
      camera.client.send({
        kind: 'reading',
        audience: [MEMBERS.analyzer2.id],
        payload: reading(n),
        recordKind: 'root',
      });
    for (let n = 0; n < 10; n += 1) await send(n);
    await handled;
    await first.client.close();
    const second = await swarm.client(MEMBERS.analyzer2);
    const got: string[] = [];
    second.client.consume({
      kind: 'reading',
      idOf,
      handler: ({ payload }) => void got.push(idOf(payload)),
    });
    await send(10);
    await camera.client.flush();
    expect(new Set(got)).toEqual(new Set(['3', '4', '5', '6', '7', '8', '9', '10']));
    expect(got.length).toBe(8);
    await camera.client.close();
    await second.client.close();
  }, 60_000);
});
