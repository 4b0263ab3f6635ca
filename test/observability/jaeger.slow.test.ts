import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { ACTION, type AgentSpec, ANALYZER, folder, images, swarmFile } from '../swarm/city.ts';
import { type Cli, swarmproofIn } from '../swarm/cli.ts';
import { jaeger } from '../tools.ts';

/** The real Jaeger, asked by its own API. */

const tag = z.looseObject({
  key: z.string(),
  value: z.union([z.string(), z.number(), z.boolean()]),
});
const span = z.looseObject({
  traceID: z.string(),
  spanID: z.string(),
  operationName: z.string(),
  processID: z.string(),
  tags: z.array(tag),
});
const trace = z.looseObject({
  traceID: z.string(),
  spans: z.array(span),
  processes: z.record(z.string(), z.looseObject({ serviceName: z.string() })),
});
const edge = z.looseObject({ parent: z.string(), child: z.string() });
type Trace = z.output<typeof trace>;
type Span = z.output<typeof span>;

const tagOf = ({ tags }: Span, key: string) => tags.find((one) => one.key === key)?.value;
const serviceOf = ({ processes }: Trace, one: Span) => processes[one.processID]?.serviceName ?? '';

async function ask<T>(base: string, path: string, schema: z.ZodType<T>): Promise<readonly T[]> {
  const answer = await fetch(`${base}${path}`);
  const { data } = (await answer.json()) as { data: unknown };
  return z.array(schema).parse(data ?? []);
}

/** Spans arrive when they do: asks until what came fits. @throws when it never does */
async function until<T>(get: () => Promise<T>, fits: (value: T) => boolean): Promise<T> {
  for (const end = performance.now() + 30_000; ; ) {
    const value = await get();
    if (fits(value)) return value;
    if (performance.now() > end) throw new Error(`not in Jaeger: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

let place: ReturnType<typeof folder>;
let cli: Cli | undefined;
let output = '';
beforeEach(() => {
  place = folder();
  output = '';
});
afterEach(async () => {
  if (cli !== undefined && cli.child.exitCode === null) {
    cli.child.kill('SIGINT');
    await cli.ended;
  }
  cli = undefined;
  place.remove();
});

const CAM: AgentSpec = {
  role: 'sensor',
  name: 'cam-1',
  source: { kind: 'simulated', seed: 7, rows: 100_000, anomalies: 400, intervalMs: 20 },
};

/** Starts a swarm with a Jaeger of its own, and resolves with the base of Jaeger's API. */
async function up(file: string, program: string): Promise<string> {
  await images();
  cli = swarmproofIn(
    { SWARMPROOF_JAEGER: program },
    ...['--state-dir', join(place.path, 's'), 'up', file, '--jaeger', '--json'],
  );
  cli.child.stdout?.on('data', (data: Buffer) => {
    output += data.toString();
  });
  await cli.said('"jaeger":');
  return lines().flatMap(({ jaeger: base }) => (typeof base === 'string' ? [base] : []))[0] ?? '';
}

function lines(): readonly Readonly<Record<string, unknown>>[] {
  return output
    .split('\n')
    .slice(0, -1)
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('Jaeger shows every edge of the swarm, and who is at each end of it', async (context) => {
  const program = await jaeger(context.skip);
  const file = swarmFile(place.path, [CAM, ANALYZER, ACTION]);
  const base = await up(file, program);
  await cli?.said('"what":"action"');

  // A span is told when its work is done, each by its own process: no edge is always the last one.
  const wanted = [
    'sensor → analyzer',
    'analyzer → vector',
    'analyzer → llm',
    'analyzer → action',
    'action → mcp',
    'mcp → city-works',
  ];
  const edges = await until(
    async () => {
      const found = await ask(base, `/api/dependencies?endTs=${Date.now()}&lookback=600000`, edge);
      return found
        .filter((one) => one.parent !== one.child)
        .map((one) => `${one.parent} → ${one.child}`);
    },
    (found) => wanted.every((one) => found.includes(one)),
  );
  expect(edges).toEqual(expect.arrayContaining(wanted));
  // Who has no grant to speak with whom has no edge either.
  for (const absent of [
    'sensor → action',
    'sensor → mcp',
    'action → city-works',
    'analyzer → mcp',
  ]) {
    expect(edges).not.toContain(absent);
  }

  const services = await ask(base, '/api/services', z.string());
  expect([...services].sort()).toEqual(
    expect.arrayContaining(['action', 'analyzer', 'city-works', 'llm', 'mcp', 'sensor', 'vector']),
  );

  const whole = ['action', 'analyzer', 'city-works', 'llm', 'mcp', 'sensor', 'vector'];
  const order = await until(
    async () => {
      const found = await ask(base, '/api/traces?service=city-works&limit=20', trace);
      return found.find((one) => {
        const present = new Set(one.spans.map((inside) => serviceOf(one, inside)));
        return whole.every((name) => present.has(name));
      });
    },
    (found) => found !== undefined,
  );
  if (order === undefined) throw new Error('unreachable');

  const ids = new Map(order.spans.map((one) => [serviceOf(order, one), tagOf(one, 'spiffe.id')]));
  expect(ids.get('sensor')).toBe('spiffe://city.example/agent/sensor/north/cam-1');
  expect(ids.get('action')).toBe('spiffe://city.example/agent/action/north/action-1');
  expect(ids.get('mcp')).toBe('spiffe://city.example/service/mcp');
  expect(ids.get('city-works')).toBe('spiffe://city.example/service/city-works');
  for (const one of order.spans) expect(tagOf(one, 'spiffe.id')).toMatch(/^spiffe:\/\//);

  const peersOf = (service: string) =>
    order.spans
      .filter((one) => serviceOf(order, one) === service)
      .map((one) => tagOf(one, 'peer.spiffe.id'));
  expect(peersOf('analyzer')).toContain('spiffe://city.example/agent/sensor/north/cam-1');
  expect(peersOf('action')).toContain('spiffe://city.example/agent/analyzer/north/analyzer-1');
  expect(peersOf('mcp')).toContain('spiffe://city.example/agent/action/north/action-1');
  expect(peersOf('city-works')).toContain('spiffe://city.example/service/mcp');
});

test('the link of a refusal opens the span in which it was refused', async (context) => {
  const program = await jaeger(context.skip);
  const file = swarmFile(place.path, [CAM, ANALYZER, ACTION], {
    roles: {
      sensor: { publish: ['reading'] },
      analyzer: {
        consume: ['reading'],
        publish: ['finding'],
        services: ['llm', 'vector'],
        models: ['city-small'],
        collections: { runbooks: ['read'] },
        tools: ['signal.set_plan'],
        budget: { callsPerMinute: 6000, tokensPerHour: 5_000_000 },
      },
      // May ask the tool server, and is granted no tool there.
      action: { consume: ['finding'], services: ['mcp'], tools: [] },
    },
  });
  const base = await up(file, program);
  await cli?.said('"what":"trace"');
  const told = lines();
  const denied = told.find(({ what }) => what === 'denied');
  expect(denied?.text).toContain('TOOL_NOT_ALLOWED');
  const line = told.find(({ what, index }) => what === 'trace' && index === denied?.index);
  const link = new URL(String(line?.text));
  expect(link.origin).toBe(base);
  const traceId = link.pathname.replace('/trace/', '');
  const spanId = link.searchParams.get('uiFind');

  const [opened] = await until(
    () => ask(base, `/api/traces/${traceId}`, trace).catch(() => []),
    (found) => found.some(({ spans }) => spans.some(({ spanID }) => spanID === spanId)),
  );
  const refused = opened?.spans.find(({ spanID }) => spanID === spanId);
  if (opened === undefined || refused === undefined) throw new Error('unreachable');
  expect(tagOf(refused, 'error')).toBe(true);
  expect(tagOf(refused, 'custody.refusal')).toBe('TOOL_NOT_ALLOWED');
  expect(serviceOf(opened, refused)).toBe('mcp');
});

test('a Jaeger of its own ends with the swarm, also when that is killed', async (context) => {
  const program = await jaeger(context.skip);
  const base = await up(swarmFile(place.path, [CAM, ANALYZER, ACTION]), program);
  expect((await fetch(`${base}/api/services`)).status).toBe(200);
  const killed = cli;
  if (killed === undefined) throw new Error('unreachable');
  const gone = once(killed.child, 'exit');
  killed.child.kill('SIGKILL');
  await gone;
  await until(
    () =>
      fetch(`${base}/api/services`).then(
        () => true,
        () => false,
      ),
    (answers) => !answers,
  );
});
