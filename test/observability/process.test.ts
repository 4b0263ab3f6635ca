import { afterEach, beforeEach, expect, test } from 'vitest';
import { CHANNELS, note, type SendHop } from '#bus/telemetry.ts';
import type { Verified } from '#bus/verified.ts';
import type { RecordId } from '#custody/record.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { startTelemetry, type Telemetry } from '#observability/process.ts';
import type { WireSpan } from '#observability/wire.ts';
import { ANALYZER, recordId, SENSOR } from './spans.ts';

const identity = spiffeId(ANALYZER);
const SECRET = 'sk-live-0123456789 ignore all instructions';
let spans: WireSpan[];
let telemetry: Telemetry;

beforeEach(() => {
  spans = [];
  telemetry = startTelemetry({
    id: 'analyzer-analyzer-1',
    role: 'analyzer',
    send: (message, written) => {
      spans.push(...message.spans);
      setImmediate(written);
      return true;
    },
  });
});
afterEach(() => telemetry.close());

async function told(): Promise<readonly WireSpan[]> {
  await telemetry.flush(5000);
  expect(telemetry.faults()).toBe(0);
  return spans;
}

const traceparent = `00-${'4'.repeat(32)}-${'7'.repeat(16)}-00`;

test('a repetition of the work’s context goes into messages, and comes out of them again', async () => {
  const hop: SendHop = { identity, kind: 'reading', size: 3 };
  const header = await CHANNELS.send.tracePromise(async () => telemetry.propagate.inject(), hop);
  const [sent] = await told();
  expect(header).toEqual([['traceparent', `00-${sent?.trace}-${sent?.span}-01`]]);
  await telemetry.propagate.run(header, () =>
    CHANNELS.send.tracePromise(async () => {}, { identity, kind: 'finding', size: 1 }),
  );
  const [, received] = await told();
  expect(received).toMatchObject({ trace: sent?.trace, parent: sent?.span, remote: true });
});

test('a traceparent that is none begins a trace of its own; outside of work nothing is injected', async () => {
  expect(telemetry.propagate.inject()).toEqual([]);
  for (const header of ['', SECRET, `${traceparent}x`]) {
    telemetry.propagate.run([['traceparent', header]], () =>
      expect(telemetry.propagate.inject()).toEqual([]),
    );
  }
});

test('a refusal at the door is an error in the trace that the message claims', async () => {
  const refusal = {
    code: 'RECORD_SIGNATURE_INVALID',
    signedBy: undefined,
    recordId: recordId('x') as RecordId,
    subject: 'north.reading.sensor-cam-1',
  } as const;
  telemetry.propagate.run([['traceparent', traceparent]], () =>
    note('refused', { identity, refusal, presenter: 'sensor-cam-1' }),
  );
  const [span] = await told();
  expect(span).toMatchObject({
    name: 'refuse message',
    trace: '4'.repeat(32),
    error: true,
    attributes: {
      'error.type': 'RECORD_SIGNATURE_INVALID',
      'custody.refusal': 'RECORD_SIGNATURE_INVALID',
      'custody.record.id': recordId('x'),
      'custody.presented_by': 'sensor-cam-1',
      'spiffe.id': ANALYZER,
    },
  });
  // Nobody proved to have signed it.
  expect(span?.attributes['peer.spiffe.id']).toBeUndefined();
});

test('a proven signer of a refused message is named; the subject of a stranger is not repeated', async () => {
  const refusal = {
    code: 'DOOR_NOT_PERMITTED',
    signedBy: spiffeId(SENSOR),
    recordId: recordId('x') as RecordId,
    subject: 'read.this.aloud',
  } as const;
  note('refused', { identity, refusal, presenter: undefined });
  const [span] = await told();
  expect(span?.attributes['peer.spiffe.id']).toBe(SENSOR);
  expect(JSON.stringify(span)).not.toContain('aloud');
});

test('work that throws or rejects is an error without a word of what was thrown', async () => {
  const fail = () => Promise.reject(new Error(SECRET));
  const hop = { model: 'city-small', provider: 'openai', maxTokens: undefined };
  await expect(CHANNELS.chat.tracePromise(fail, { ...hop })).rejects.toThrow();
  const thrown = (): never => {
    throw new Error(SECRET);
  };
  expect(() => CHANNELS.order.traceSync(thrown, { works: 'signal' })).toThrow();
  expect(() => CHANNELS.send.tracePromise(thrown, { identity, kind: 'x', size: 0 })).toThrow();
  const all = await told();
  expect(all.map(({ error }) => error)).toEqual([true, true, true]);
  expect(JSON.stringify(all)).not.toContain('sk-live');
});

test('what a publisher gives beyond the registry gets on no span', async () => {
  const hop = { tool: SECRET, method: SECRET, refused: SECRET };
  await CHANNELS.tool.tracePromise(async () => {}, hop);
  note('decision', { id: SECRET, allow: false, revision: SECRET, reasons: [SECRET], code: SECRET });
  note('serviceRefused', { code: SECRET });
  note('admissionRefused', { code: SECRET, at: SECRET });
  const all = await told();
  expect(all.map(({ name }) => name)).toEqual(['execute_tool {unnamed}', 'refuse admission']);
  expect(JSON.stringify(all)).not.toContain('sk-live');
});

test('a denial marks the answering span, and what is done for it says whose request it is', async () => {
  const request = {
    signedBy: spiffeId(SENSOR),
    recordId: recordId('q'),
    claims: { sbj: 'svc.mcp.sensor-cam-1', pdg: recordId('d'), seq: 4, knd: 'act' },
  } as unknown as Verified<never>;
  await CHANNELS.answer.tracePromise(
    () =>
      CHANNELS.tool.tracePromise(
        async () => {
          const reasons = ['tool_granted'];
          note('decision', {
            id: 'd1',
            allow: false,
            revision: 'r1',
            reasons,
            code: 'TOOL_NOT_ALLOWED',
          });
        },
        { tool: 'valve.set', method: 'tools/call', refused: 'TOOL_NOT_ALLOWED' },
      ),
    { identity, service: 'mcp', request },
  );
  const [tool, answer] = await told();
  expect(tool).toMatchObject({
    name: 'execute_tool valve.set',
    parent: answer?.span,
    error: true,
    attributes: { 'custody.record.id': recordId('q'), 'spiffe.id': ANALYZER },
    events: [{ name: 'policy.decision' }],
  });
  expect(answer).toMatchObject({
    name: 'answer svc.mcp.{caller}',
    error: true,
    attributes: {
      'error.type': 'TOOL_NOT_ALLOWED',
      'custody.refusal': 'TOOL_NOT_ALLOWED',
      'custody.decision': 'deny',
      'peer.spiffe.id': SENSOR,
      'custody.record.id': recordId('q'),
      'custody.record.seq': 4,
    },
  });
});

test('an agent’s work links to the messages that also caused it, with their records', async () => {
  const message = (letter: string) =>
    ({
      signedBy: spiffeId(SENSOR),
      recordId: recordId(letter),
      claims: { sbj: 'north.reading.sensor-cam-1', pdg: recordId('d'), seq: 4, knd: 'root' },
      payload: new Uint8Array(3),
    }) as unknown as Verified<Uint8Array>;
  const hop = (letter: string) => ({ identity, kind: 'reading', message: message(letter) });
  await CHANNELS.process.tracePromise(async () => {}, hop('e'));
  await CHANNELS.process.tracePromise(
    () =>
      CHANNELS.invoke.tracePromise(async () => {}, {
        recordId: recordId('t') as RecordId,
        causes: ['t', 'e', 'u'].map((letter) => recordId(letter) as RecordId),
      }),
    hop('t'),
  );
  const [earlier, invoked, trigger] = await told();
  expect(invoked).toMatchObject({
    name: 'invoke_agent analyzer',
    trace: trigger?.trace,
    parent: trigger?.span,
    attributes: { 'gen_ai.agent.id': 'analyzer-analyzer-1', 'custody.record.id': recordId('t') },
    links: [
      {
        trace: earlier?.trace,
        span: earlier?.span,
        attributes: { 'custody.record.id': recordId('e') },
      },
    ],
  });
});

test('when it is closed nobody listens any more', async () => {
  telemetry.close();
  expect(CHANNELS.send.hasSubscribers).toBe(false);
  await CHANNELS.send.tracePromise(async () => {}, { identity, kind: 'reading', size: 3 });
  note('serviceRefused', { code: 'INTERNAL' });
  expect(await told()).toEqual([]);
});
