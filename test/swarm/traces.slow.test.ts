import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whenIdle } from '#cli/wiring/idle.ts';
import { type RunningSwarm, startSwarm } from '#cli/wiring/swarm.ts';
import type { RecordEntry } from '#custody/ledger/entry.ts';
import { tcpCollector } from '#test/observability/collectors.ts';
import { natsServer, opaIfThere } from '#test/tools.ts';
import { entriesOf, isMessage } from './account.ts';
import { ACTION, ANALYZER, folder, images, swarmFile } from './city.ts';
import { type ExportedSpan, exportedSpans } from './exported.ts';
import { modelServer, type PlantingModel, SECRETS } from './planted.ts';

const ID = {
  sensor: 'spiffe://city.example/agent/sensor/north/cam-1',
  analyzer: 'spiffe://city.example/agent/analyzer/north/analyzer-1',
  action: 'spiffe://city.example/agent/action/north/action-1',
  llm: 'spiffe://city.example/service/llm',
  vector: 'spiffe://city.example/service/vector',
  mcp: 'spiffe://city.example/service/mcp',
  works: 'spiffe://city.example/service/city-works',
} as const;

const place = folder();
const runPath = join(place.path, 'run');
const INCIDENTS = 3;
const CALM = 40;
const rows = INCIDENTS * (CALM + 1);
let model: PlantingModel;
let running: RunningSwarm;
let entries: readonly RecordEntry[];
let spans: readonly ExportedSpan[];
let bytes: string;
let stuck: Awaited<ReturnType<typeof tcpCollector>>;

function readings(): string {
  const path = join(place.path, 'road.csv');
  const at = (minute: number) => new Date(Date.UTC(2026, 0, 2) + minute * 60_000).toISOString();
  const lines = Array.from({ length: rows }, (_, row) => {
    const incident = row % (CALM + 1) === CALM;
    return `${at(row)},${incident ? 5 : 60 + (row % 3)},${SECRETS.note}`;
  });
  writeFileSync(path, `timestamp,value,note\n${lines.join('\n')}\n`);
  return path;
}

beforeAll(async () => {
  await images();
  model = await modelServer();
  // A collector that takes connections and nothing else: the worst one for who waits.
  stuck = await tcpCollector((socket) => socket.pause());
  const file = swarmFile(
    place.path,
    [
      { role: 'sensor', name: 'cam-1', source: { kind: 'csv', path: readings(), intervalMs: 20 } },
      ANALYZER,
      ACTION,
    ],
    {
      services: {
        llm: { models: ['city-small'], upstream: { baseUrl: model.baseUrl } },
        vector: { collections: ['runbooks'] },
        mcp: { services: ['city-works'] },
        'city-works': {},
      },
    },
  );
  running = await startSwarm({
    file,
    inputs: [],
    runPath,
    runId: 'test',
    natsServer: natsServer(),
    opa: await opaIfThere(),
    upstreamApiKey: SECRETS.key,
    otlp: { url: stuck.url, timeoutMs: 300 },
  });
  await whenIdle(running);
  entries = entriesOf(running).filter((entry) => entry.type === 'record');
  await running.stop();
  bytes = readFileSync(running.traces.file, 'utf8');
  spans = exportedSpans(running.traces.file);
}, 180_000);
afterAll(async () => {
  await running?.stop();
  await stuck?.close();
  model?.close();
  place.remove();
});

const byId = (): ReadonlyMap<string, ExportedSpan> =>
  new Map(spans.map((span) => [span.spanId, span]));

/** The trace in which the city works were given an order. */
function orderTrace(): readonly ExportedSpan[] {
  const order = spans.find(({ name }) => name === 'order signal');
  return spans.filter(({ traceId }) => traceId === order?.traceId);
}

function named(name: string, trace = orderTrace()): ExportedSpan {
  const found = trace.find((span) => span.name === name);
  if (found === undefined) throw new Error(`no span "${name}"`);
  return found;
}

describe('the traces of a swarm', () => {
  test('one trace leads from the reading to the order, by verified identities', () => {
    const trace = orderTrace();
    const known = byId();
    const edges = new Set(
      trace.flatMap((span) => {
        const from = known.get(span.parentSpanId ?? '')?.attributes['spiffe.id'];
        const { 'spiffe.id': to, 'peer.spiffe.id': peer } = span.attributes;
        // A hop between processes: what the span knows of its peer is who the parent is.
        return from === to || from === undefined || peer !== from ? [] : [`${from} ${to}`];
      }),
    );
    expect([...edges].sort()).toEqual(
      [
        [ID.sensor, ID.analyzer],
        [ID.analyzer, ID.vector],
        [ID.analyzer, ID.llm],
        [ID.analyzer, ID.action],
        [ID.action, ID.mcp],
        [ID.mcp, 'spiffe://city.example/platform/ledger'],
        [ID.mcp, ID.works],
      ]
        .map((edge) => edge.join(' '))
        .sort(),
    );
    expect(trace.filter(({ parentSpanId }) => parentSpanId === undefined)).toEqual([
      named('send {district}.reading.{sender}'),
    ]);
    for (const { parentSpanId } of trace) {
      if (parentSpanId !== undefined) expect(known.has(parentSpanId)).toBe(true);
    }
  });

  test('each hop stands below the one that caused it', () => {
    const known = byId();
    const path: string[] = [];
    let span: ExportedSpan | undefined = named('order signal');
    while (span !== undefined) {
      path.unshift(span.name);
      span = known.get(span.parentSpanId ?? '');
    }
    expect(path).toEqual([
      'send {district}.reading.{sender}',
      'process {district}.reading.{sender}',
      'invoke_agent analyzer',
      'send {district}.finding.{sender}',
      'process {district}.finding.{sender}',
      'invoke_agent action',
      'request svc.mcp.{caller}',
      'answer svc.mcp.{caller}',
      'execute_tool signal.set_plan',
      'request svc.city-works.{caller}',
      'answer svc.city-works.{caller}',
      'order signal',
    ]);
    expect(known.get(named('chat city-small').parentSpanId ?? '')).toMatchObject({
      name: 'answer svc.llm.{caller}',
      service: 'llm',
    });
    expect(known.get(named('retrieval runbooks').parentSpanId ?? '')).toMatchObject({
      name: 'answer svc.vector.{caller}',
      service: 'vector',
    });
  });

  test('a model call has its model and its tokens, a search its collection, a tool its name', () => {
    expect(named('chat city-small').attributes).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'city-small',
      'gen_ai.usage.input_tokens': 123,
      'gen_ai.usage.output_tokens': 45,
      'gen_ai.response.finish_reasons': ['tool_calls'],
    });
    expect(named('retrieval runbooks').attributes).toMatchObject({
      'db.system.name': 'sqlite',
      'db.collection.name': 'runbooks',
    });
    expect(named('execute_tool signal.set_plan').attributes).toMatchObject({
      'gen_ai.tool.name': 'signal.set_plan',
      'mcp.method.name': 'tools/call',
    });
    expect(named('answer svc.mcp.{caller}').attributes).toMatchObject({
      'custody.decision': 'allow',
      'peer.spiffe.id': ID.action,
    });
  });

  test('each span is by the process that it names, and its record is in the ledger by that signer', () => {
    const signers = new Map(entries.map(({ record }) => [record.id as string, record.claims.iss]));
    const known = byId();
    let compared = 0;
    for (const span of spans) {
      expect(span.attributes['spiffe.id']).toBe(span.resource);
      const { 'custody.record.id': id, 'custody.answer.id': answer } = span.attributes;
      if (id === undefined) {
        expect(span.name).toBe('renew svid');
        continue;
      }
      // Who sends has signed; who receives, or works for a message, names its verified signer.
      let own: ExportedSpan | undefined = span;
      while (own !== undefined && !/^(?:send|process|request|answer) /.test(own.name)) {
        own = known.get(own.parentSpanId ?? '');
      }
      const sends = /^(?:send|request) /.test(own?.name ?? '');
      const { 'spiffe.id': self, 'peer.spiffe.id': peer } = own?.attributes ?? {};
      expect(signers.get(String(id)), span.name).toBe(sends ? self : peer);
      if (answer !== undefined) expect(signers.get(String(answer))).toBe(sends ? peer : self);
      compared += 1;
    }
    expect(compared).toBeGreaterThan(2 * rows);
  });

  test('what policy denied is an error with its code, in the trace of its reading', () => {
    const denied = spans.filter(({ name, error }) => error && name === 'answer svc.mcp.{caller}');
    expect(denied).toHaveLength(1);
    expect(denied[0]?.attributes).toMatchObject({
      'custody.decision': 'deny',
      'custody.refusal': denied[0]?.attributes['error.type'],
      'peer.spiffe.id': ID.action,
    });
    const trace = spans.filter(({ traceId }) => traceId === denied[0]?.traceId);
    expect(named('execute_tool signal.set_plan', trace).error).toBe(true);
    expect(named('send {district}.reading.{sender}', trace).attributes['spiffe.id']).toBe(
      ID.sensor,
    );
    expect(trace.some(({ name }) => name.startsWith('order '))).toBe(false);
  });

  test('no prompt, reading, answer, argument, runbook or key is in any exported byte', () => {
    // They were all there to be leaked.
    expect(model.asked).toHaveLength(INCIDENTS);
    expect(model.asked[0]?.key).toContain(SECRETS.key);
    const prompts = model.asked.map(({ body }) => body).join();
    for (const secret of [SECRETS.note, SECRETS.prompt, SECRETS.runbook]) {
      expect(prompts).toContain(secret);
    }
    const payloads = entries.map(({ payload }) => Buffer.from(payload ?? []).toString()).join();
    expect(payloads).toContain(SECRETS.argument);
    expect(payloads).toContain(SECRETS.answer);
    for (const secret of Object.values(SECRETS)) {
      for (const form of [secret, Buffer.from(secret).toString('base64').slice(0, -4)]) {
        expect(bytes.includes(form), secret).toBe(false);
      }
    }
  });

  test('a collector that hangs changes nothing: every reading is recorded and acted upon, every span in the file', () => {
    const recorded = entries.filter((entry) => isMessage(entry, 'north.reading.sensor-cam-1'));
    expect(recorded.length).toBeGreaterThanOrEqual(rows);
    const findings = entries.filter(({ record }) => record.claims.sbj.startsWith('north.finding.'));
    expect(findings.length).toBeGreaterThanOrEqual(INCIDENTS);
    expect(stuck.requests()).toBeGreaterThan(0);
    const sent = spans.filter(({ name }) => name === 'send {district}.reading.{sender}');
    expect(sent).toHaveLength(rows);
    const { taken, written, dropped, refused, lost } = running.traces.counts();
    expect({ taken, dropped, refused, file: lost.file }).toEqual({
      taken: spans.length,
      dropped: 0,
      refused: 0,
      file: 0,
    });
    expect(written).toBe(spans.length);
    expect(lost.otlp).toBeGreaterThan(0);
  });
});
