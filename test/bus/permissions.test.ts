import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectNats, type NatsConnection } from '#bus/client/nats.ts';
import { MEMBERS, startSwarm, type TestSwarm, violation } from '#test/support/swarm.ts';

let swarm: TestSwarm;
let operator: NatsConnection;
let camera: NatsConnection;
let analyzer: NatsConnection;
let llm: NatsConnection;

beforeAll(async () => {
  swarm = await startSwarm();
  await swarm.streams();
  const nkeySeed = swarm.broker.operatorSeed;
  operator = await connectNats({
    ...swarm.connection(await swarm.source(MEMBERS.supervisor)),
    nkeySeed,
  });
  const as = async (member: (typeof MEMBERS)[keyof typeof MEMBERS]) =>
    connectNats(swarm.connection(await swarm.source(member)));
  camera = await as(MEMBERS.camera);
  analyzer = await as(MEMBERS.analyzer);
  llm = await as(MEMBERS.llm);
});
afterAll(async () => {
  for (const nats of [operator, camera, analyzer, llm]) await nats?.close();
  await swarm?.stop();
});

async function messages(stream: string): Promise<number> {
  const manager = await jetstreamManager(operator, { checkAPI: false, timeout: 30_000 });
  return (await manager.streams.info(stream)).state.messages;
}

async function publishRefused(nats: NatsConnection, subject: string): Promise<void> {
  const error = violation(nats);
  nats.publish(subject, '{}', { reply: '_INBOX.sensor-cam-1.x.y' });
  expect(await error).toContain(subject.split('.')[0] ?? '');
}

describe('the broker’s permissions', () => {
  test('a sender publishes under its own token, and under no other', async () => {
    camera.publish('north.reading.sensor-cam-1', 'honest');
    // JetStream stores after it has read: a flush says only that it was read.
    await expect.poll(() => messages('READING')).toBe(1);
    await publishRefused(camera, 'north.reading.sensor-cam-2');
    await publishRefused(camera, 'south.reading.sensor-cam-1');
    await publishRefused(camera, 'custody.append.sensor-cam-2');
    await publishRefused(camera, 'ledger.entry');
    await publishRefused(camera, 'ledger.checkpoint');
    await publishRefused(camera, 'svc.llm.analyzer-analyzer-1');
    expect(await messages('READING')).toBe(1);
    expect(await messages('LEDGER')).toBe(0);
  });

  test('nobody but the supervisor administers JetStream, keys, services or the system', async () => {
    const subjects = [
      '$JS.API.STREAM.DELETE.LEDGER',
      '$JS.API.STREAM.PURGE.READING',
      '$JS.API.STREAM.UPDATE.LEDGER',
      '$JS.API.STREAM.INFO.LEDGER',
      '$JS.API.CONSUMER.CREATE.READING.x',
      '$JS.API.CONSUMER.MSG.NEXT.READING.analyzer-analyzer-1',
      '$JS.ACK.READING.analyzer-analyzer-1.1.1.1.1.0',
      '$JS.API.DIRECT.GET.LEDGER',
      '$JS.API.DIRECT.GET.CHECKPOINT',
      '$KV.budgets.x',
      '$SYS.REQ.SERVER.PING',
      '$SYS.REQ.USER.AUTH',
      '$SRV.PING',
    ];
    for (const nats of [camera, analyzer, llm]) {
      for (const subject of subjects) await publishRefused(nats, subject);
    }
    expect(await messages('LEDGER')).toBe(0);
  });

  test('a caller cannot join a service’s queue, nor the service leave it', async () => {
    const steal = violation(analyzer);
    analyzer.subscribe('svc.llm.*', { queue: 'svc-llm' });
    expect(await steal).toMatch(/subscription/i);
    const alone = violation(llm);
    llm.subscribe('svc.llm.*');
    expect(await alone).toMatch(/subscription/i);
    const other = violation(llm);
    llm.subscribe('svc.mcp.*', { queue: 'svc-mcp' });
    expect(await other).toMatch(/subscription/i);
    const inbox = violation(llm);
    llm.subscribe('_INBOX.analyzer-analyzer-1.>');
    expect(await inbox).toMatch(/subscription/i);
    llm.subscribe('svc.llm.*', { queue: 'svc-llm', callback: () => undefined });
    await llm.flush();
  });

  test('a service answers into inboxes under its own name only', async () => {
    const got = analyzer.subscribe('_INBOX.analyzer-analyzer-1.>', { max: 1 });
    await analyzer.flush();
    llm.publish('_INBOX.analyzer-analyzer-1.llm.n1', 'honest');
    for await (const message of got) expect(message.string()).toBe('honest');
    await publishRefused(llm, '_INBOX.analyzer-analyzer-1.mcp.n1');
    await publishRefused(llm, '_INBOX.analyzer-analyzer-1._js.READING.deliver');
    await publishRefused(llm, 'north.ack.analyzer-analyzer-1.sensor-cam-1');
  });

  test('the server answers a stored message to nobody, so its answer cannot be aimed', async () => {
    const before = await messages('READING');
    const aims = [
      'ledger.entry',
      'north.reading.sensor-cam-2',
      'svc.llm.analyzer-analyzer-1',
      '$JS.API.STREAM.PURGE.READING',
      '$JS.API.STREAM.DELETE.LEDGER',
      '$JS.API.CONSUMER.DELETE.READING.analyzer-analyzer-1',
    ];
    const heard: string[] = [];
    const watch = operator.subscribe('>', {
      callback: (_error, { subject, reply }) => {
        if (aims.includes(subject) && reply === undefined) heard.push(subject);
        if (aims.includes(subject) && reply === '') heard.push(subject);
      },
    });
    await operator.flush();
    for (const reply of aims) {
      camera.publish('north.reading.sensor-cam-1', 'x', { reply });
      camera.publish('custody.append.sensor-cam-1', 'x', { reply });
    }
    await camera.flush();
    // Stored some time after they were read. Had the server answered, it would have done so then.
    await expect.poll(() => messages('READING')).toBe(before + aims.length);
    expect(await messages('LEDGER')).toBe(0);
    await operator.flush();
    expect(heard).toEqual([]);
    watch.unsubscribe();
  });
});
