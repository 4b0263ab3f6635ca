import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { recordHeaders } from '#bus/client/envelope.ts';
import { connectNats, outgoing } from '#bus/client/nats.ts';
import { createRecordSigner } from '#custody/record/sign.ts';
import { startTelemetry, type Telemetry } from '#observability/process.ts';
import type { WireSpan } from '#observability/wire.ts';
import {
  MEMBERS,
  randomOf,
  startSwarm,
  type TestLedger,
  type TestSwarm,
} from '#test/support/swarm.ts';

const ANALYZERS = 'spiffe://city.example/agent/analyzer/north/*';
const SUBJECT = 'north.reading.sensor-cam-1';
const SECRET = 'planted words';
let swarm: TestSwarm;
let ledger: TestLedger;
let telemetry: Telemetry;
let spans: WireSpan[];

beforeAll(async () => {
  swarm = await startSwarm();
  await swarm.streams();
  ledger = await swarm.ledger();
});
afterAll(async () => {
  await ledger?.close();
  await swarm?.stop();
});
beforeEach(() => {
  spans = [];
  telemetry = startTelemetry({
    id: 'test',
    role: 'test',
    send: (message, written) => {
      spans.push(...message.spans);
      setImmediate(written);
      return true;
    },
  });
});
afterEach(() => telemetry.close());

/** The first span that fits, when it is there. */
async function span(fits: (one: WireSpan) => boolean): Promise<WireSpan> {
  await expect.poll(() => spans.some(fits)).toBe(true);
  return spans.find(fits) as WireSpan;
}

const reading = Buffer.from(JSON.stringify({ id: 1, note: SECRET }));

test('a message that is signed again stays in the trace of its first sending', async () => {
  const { propagate } = telemetry;
  const analyzer = await swarm.client(MEMBERS.analyzer, { propagate });
  const camera = await swarm.client(MEMBERS.camera, { propagate });
  let times = 0;
  analyzer.client.consume({
    kind: 'reading',
    handler: () => {
      times += 1;
      if (times === 1) throw new Error(SECRET);
    },
  });
  await camera.client.send({
    kind: 'reading',
    audience: [ANALYZERS],
    payload: reading,
    recordKind: 'root',
  });
  const processed = (one: WireSpan): boolean => one.name.startsWith('process ');
  const failed = await span((one) => processed(one) && one.error);
  const again = await span((one) => processed(one) && !one.error);
  const [sent] = spans.filter(({ name }) => name.startsWith('send '));
  expect(failed.attributes['error.type']).toBe('EXCEPTION');
  for (const one of [failed, again]) {
    expect(one).toMatchObject({ trace: sent?.trace, parent: sent?.span, remote: true });
    expect(one.attributes['peer.spiffe.id']).toBe(MEMBERS.camera.id);
  }
  // Another signature, so another record; both are in the ledger under their own ids.
  expect(again.attributes['custody.record.id']).not.toBe(failed.attributes['custody.record.id']);
  expect(JSON.stringify(spans)).not.toContain(SECRET);
  await camera.client.close();
  await analyzer.client.close();
});

test('what the door refuses is an error in the trace it claims, and names only who has signed', async () => {
  const { propagate } = telemetry;
  const analyzer = await swarm.client(MEMBERS.analyzer, { propagate });
  analyzer.client.consume({ kind: 'reading', handler: () => {} });
  const source = await swarm.source(MEMBERS.camera);
  const signer = createRecordSigner({ source, clock: Date.now, random: randomOf });
  const nats = await connectNats(swarm.connection(source));
  const draft = { aud: [ANALYZERS], sbj: SUBJECT, knd: 'root' } as const;
  const trace = 'e'.repeat(32);
  const traceparent = ['traceparent', `00-${trace}-${'f'.repeat(16)}-01`] as const;
  const publish = (
    record: ReturnType<typeof signer.sign>,
    ...more: (readonly [string, string])[]
  ) =>
    nats.publish(SUBJECT, reading, {
      headers: outgoing([...recordHeaders(record, { chain: true }), ...more]),
    });

  const honest = signer.sign({ ...draft, payload: reading });
  publish(honest, traceparent);
  const taken = await span((one) => one.attributes['custody.record.id'] === honest.id);
  expect(taken).toMatchObject({ name: 'process {district}.reading.{sender}', trace, error: false });

  const other = signer.sign({ ...draft, payload: Buffer.from('{"id":2}') });
  publish(other, traceparent);
  // Others are refused here as well, such as what an earlier test sent before this door was there.
  const refused = await span(
    (one) => one.name === 'refuse message' && one.attributes['custody.record.id'] === other.id,
  );
  expect(refused).toMatchObject({ trace, parent: 'f'.repeat(16), error: true });
  expect(refused.attributes).toMatchObject({
    'custody.record.id': other.id,
    'custody.refusal': 'RECORD_PAYLOAD_MISMATCH',
    'error.type': 'RECORD_PAYLOAD_MISMATCH',
    'custody.presented_by': MEMBERS.camera.token,
    'messaging.destination.name': SUBJECT,
    'spiffe.id': MEMBERS.analyzer.id,
  });

  // Two contexts are none: nobody can choose which of them is believed.
  const third = signer.sign({ ...draft, payload: reading });
  publish(third, traceparent, traceparent);
  const alone = await span((one) => one.attributes['custody.record.id'] === third.id);
  expect(alone.parent).toBeUndefined();
  expect(alone.trace).not.toBe(trace);

  await nats.close();
  await analyzer.client.close();
});

test('a request and its answer are spans of one trace, also where the service fails', async () => {
  const { propagate } = telemetry;
  const llm = await swarm.client(MEMBERS.llm, { propagate });
  const analyzer = await swarm.client(MEMBERS.analyzer, { propagate });
  await llm.client.serve({
    service: 'llm',
    handler: async () => ({ response: { status: 503, contentType: '', body: SECRET } }),
  });
  const answer = await analyzer.client.request({
    service: 'llm',
    request: { method: 'POST', path: '/v1/chat/completions', contentType: '', body: SECRET },
    recordKind: 'tool.call',
    timeoutMs: 30_000,
  });
  if (!answer.ok) throw new Error(answer.detail);
  await telemetry.flush(5000);
  const client = await span(({ name }) => name === 'request svc.llm.{caller}');
  const server = await span(({ name }) => name === 'answer svc.llm.{caller}');
  expect(server).toMatchObject({ trace: client.trace, parent: client.span, error: true });
  expect(client.error).toBe(true);
  expect(client.attributes).toMatchObject({
    'peer.spiffe.id': MEMBERS.llm.id,
    'custody.record.id': answer.requestId,
    'custody.answer.id': answer.recordId,
    'http.response.status_code': 503,
    'error.type': '503',
  });
  expect(server.attributes['peer.spiffe.id']).toBe(MEMBERS.analyzer.id);
  expect(JSON.stringify(spans)).not.toContain(SECRET);
  await analyzer.client.close();
  await llm.client.close();
});
