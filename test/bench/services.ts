import { randomBytes } from 'node:crypto';
import fastify from 'fastify';
import { inject } from 'light-my-request';
import { accept } from '#identity/outcome.ts';
import { loadBundle } from '#policy/bundle.ts';
import type { Policy } from '#policy/decision.ts';
import { openPolicy } from '#policy/engine.ts';
import { createService, type Service, type ServiceName } from '#services/index.ts';
import { embed } from '#services/llm/embedding.ts';
import { createMockModel } from '#services/llm/mock-model.ts';
import { chatRequest } from '#services/llm/schema.ts';
import { createToolCaller } from '#services/mcp/client.ts';
import { ACTION, ANALYZER, http, MCP, recordId, verified } from '../services/world.ts';

export interface BenchResult {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

const ROUNDS = 5;
const CALLS = 400;
const POLICY = new URL('../../policy/', import.meta.url).pathname;
const TOOLS = { 'valve.set': { highRisk: false, arguments: { delta_pct: { min: -10, max: 10 } } } };

const member = (kind: string, role: string, name: string) => ({
  token: `${role}-${name}`,
  kind,
  role,
  district: 'north',
  name,
});
const DATA = {
  trust_domain: 'city.example',
  members: {
    [ANALYZER]: member('agent', 'analyzer', 'analyzer-1'),
    [ACTION]: member('agent', 'action', 'action-1'),
    [MCP]: { token: 'service-mcp', kind: 'service', role: 'mcp', name: 'mcp' },
  },
  grants: {
    [ANALYZER]: {
      services: ['llm', 'vector'],
      models: ['city-small'],
      collections: { runbooks: ['read'] },
      budget: { calls_per_minute: 1e9, tokens_per_hour: 1e12 },
    },
    [ACTION]: { services: ['mcp'], tools: ['valve.set'] },
    [MCP]: { services: ['city-works'] },
  },
  tools: { 'valve.set': { arguments: TOOLS['valve.set'].arguments } },
  collections: { runbooks: { district: null } },
};

/**
 * What the door and policy add to one model call, and what a tool call costs from the official
 * client to the works and back; without bus and signatures, which are measured apart. One thread,
 * the median of five rounds; policy is the real Rego.
 */
export async function benchServices(): Promise<BenchResult[]> {
  const policy = await openPolicy({ bundle: loadBundle(POLICY, undefined).bytes, data: DATA });
  const works = await service('city-works', policy);
  const llm = await service('llm', policy);
  const vector = await service('vector', policy);
  const mcp = await service('mcp', policy, works);
  const chat = http('POST', '/v1/chat/completions', {
    model: 'city-small',
    messages: [{ role: 'user', content: `Finding: ${'speed 11 km/h; '.repeat(60)}` }],
  });
  const query = http('POST', '/collections/runbooks/query', { text: 'traffic slow on north road' });
  const call = createToolCaller(async (request) =>
    accept((await mcp.handle(verified(ACTION, request))).response),
  );
  const request = verified(ANALYZER, chat);
  try {
    const bare = await bareRoute(chat.body);
    const guarded = await perCall(() => llm.handle(request));
    const search = await perCall(() => vector.handle(verified(ANALYZER, query)));
    const tool = await perCall(() => call('valve.set', { delta_pct: 1 }, []), CALLS / 4);
    return [
      { name: 'model call, bare route', value: bare, unit: 'µs' },
      { name: 'model call through door and policy', value: guarded, unit: 'µs' },
      {
        name: 'door, schema, policy, budget and log per model call',
        value: guarded - bare,
        unit: 'µs',
      },
      { name: 'vector query by text through door and policy', value: search, unit: 'µs' },
      { name: 'MCP tool call, client to works and back', value: tool / 1000, unit: 'ms' },
      {
        name: 'embedding of one sentence',
        value: await perCall(async () => embed(SENTENCE)),
        unit: 'µs',
      },
    ];
  } finally {
    for (const opened of [mcp, vector, llm, works]) await opened.close();
  }
}

const SENTENCE = 'mean speed dropped to 12 km/h on the northern ring road, expected 48';

/** The same model behind a Fastify route with nothing before it. */
async function bareRoute(body: string): Promise<number> {
  const model = createMockModel(() => 0);
  const app = fastify();
  app.post('/v1/chat/completions', async (request) => {
    const answer = await model(chatRequest.parse(request.body));
    return answer.ok ? answer.value : {};
  });
  await app.ready();
  const cost = await perCall(() =>
    inject((req, res) => app.routing(req, res), {
      method: 'POST',
      url: '/v1/chat/completions',
      validate: false,
      headers: { 'content-type': 'application/json' },
      payload: body,
    }),
  );
  await app.close();
  return cost;
}

function service(name: ServiceName, policy: Policy, works?: Service): Promise<Service> {
  return createService(name, {
    self: MCP,
    config: {},
    policy,
    now: () => new Date(),
    tick: () => process.hrtime.bigint(),
    randomId: () => randomBytes(16).toString('base64url'),
    onDecision: () => {},
    models: ['city-small'],
    collections: ['runbooks'],
    tools: TOOLS,
    witnessed: async () => accept(undefined),
    callWorks: async ({ request, cause }) => {
      if (works === undefined) throw new Error('only the tool server calls the works');
      const asked = verified(MCP, request, { causes: [cause] });
      return accept({ ...(await works.handle(asked)), recordId: recordId() });
    },
  });
}

/** Microseconds per call, calls one after another. */
async function perCall(work: () => Promise<unknown>, calls = CALLS): Promise<number> {
  const rounds: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    const started = process.hrtime.bigint();
    for (let count = 0; count < calls; count += 1) await work();
    rounds.push(Number(process.hrtime.bigint() - started) / 1000 / calls);
  }
  // The first round warms up.
  const measured = rounds.slice(1).sort((a, b) => a - b);
  return measured[Math.floor(measured.length / 2)] ?? 0;
}
