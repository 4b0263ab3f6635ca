import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeResponse, parseResponse } from '#bus/http-message.ts';
import { accept } from '#identity/outcome.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { loadBundle } from '#policy/bundle.ts';
import { openPolicy } from '#policy/engine.ts';
import {
  createService,
  type DecisionLogEntry,
  isServiceName,
  SERVICE_NAMES,
  type Service,
  serviceSchemas,
} from '#services/index.ts';
import { createToolCaller } from '#services/mcp/client.ts';
import {
  ACTION,
  ANALYZER,
  errorCode,
  http,
  json,
  MCP,
  recordId,
  SENSOR,
  TRAINER,
  VECTOR,
  verified,
} from './world.ts';

const POLICY = new URL('../../policy/', import.meta.url).pathname;
const TOOLS = {
  'signal.set_plan': { highRisk: false, arguments: { plan: { enum: ['A', 'B', 'C'] } } },
  'valve.set': { highRisk: true, arguments: { delta_pct: { min: -10, max: 10 } } },
  'valve.status': { highRisk: false, arguments: {} },
};
const agent = (role: string, name: string) => ({
  token: `${role}-${name}`,
  kind: 'agent',
  role,
  district: 'north',
  name,
});
const service = (name: string) => ({ token: `service-${name}`, kind: 'service', role: name, name });
const nothing = { publish: [], consume: [], services: [], models: [], train: [], tools: [] };
const none = { ...nothing, collections: {}, budget: {} };

const DATA = {
  trust_domain: 'city.example',
  members: {
    [SENSOR]: agent('sensor', 'cam-1'),
    [ANALYZER]: agent('analyzer', 'analyzer-1'),
    [ACTION]: agent('action', 'action-1'),
    [TRAINER]: service('trainer'),
    [MCP]: service('mcp'),
    [VECTOR]: service('vector'),
  },
  grants: {
    [SENSOR]: { ...none, publish: ['reading'] },
    [ANALYZER]: {
      ...none,
      services: ['llm', 'vector'],
      models: ['city-small'],
      collections: { runbooks: ['read'] },
      budget: { calls_per_minute: 4, tokens_per_hour: 100_000 },
    },
    [ACTION]: {
      ...none,
      services: ['mcp'],
      tools: ['signal.set_plan', 'valve.set', 'valve.status'],
    },
    [TRAINER]: { ...none, services: ['vector'], collections: { runbooks: ['write'] } },
    [MCP]: { ...none, services: ['city-works'] },
  },
  tools: {
    'signal.set_plan': { high_risk: false, arguments: TOOLS['signal.set_plan'].arguments },
    'valve.set': { high_risk: true, arguments: TOOLS['valve.set'].arguments },
    'valve.status': { high_risk: false, arguments: {} },
  },
  collections: { runbooks: { district: null } },
};

/** The services as the composition root opens them, asked through their doors, with the real Rego. */
describe('the services under the real policy', () => {
  const services = new Map<string, Service>();
  const log: DecisionLogEntry[] = [];
  const door = (name: string) => (request: Parameters<Service['handle']>[0]) => {
    const opened = services.get(name);
    if (opened === undefined) throw new Error(name);
    return opened.handle(request);
  };

  beforeAll(async () => {
    const policy = await openPolicy({ bundle: loadBundle(POLICY, undefined).bytes, data: DATA });
    for (const name of SERVICE_NAMES) {
      const opened = await createService(name, {
        self: spiffeId(`spiffe://city.example/service/${name}`),
        config: {},
        policy,
        now: () => new Date(1_700_000_000_000),
        tick: () => process.hrtime.bigint(),
        randomId: () => randomBytes(16).toString('base64url'),
        onDecision: (entry) => log.push(entry),
        models: ['city-small', 'city-large'],
        collections: ['runbooks'],
        tools: TOOLS,
        callWorks: async ({ request, cause }) => {
          const asked = verified(MCP, request, { causes: [cause] });
          return accept({ ...(await door('city-works')(asked)), recordId: recordId() });
        },
        witnessed: async () => accept(undefined),
        observe: { port: 0 },
      });
      services.set(name, opened);
    }
  });
  afterAll(async () => {
    for (const opened of services.values()) await opened.close();
  });

  const chat = (model: string, from = ANALYZER) =>
    door('llm')(
      verified(
        from,
        http('POST', '/v1/chat/completions', {
          model,
          messages: [{ role: 'user', content: 'hello' }],
        }),
      ),
    );

  test('models: the granted one answers, another, or another’s caller, is refused', async () => {
    expect((await chat('city-small')).response.status).toBe(200);
    expect(json(await chat('city-large')).error).toMatchObject({
      code: 'MODEL_NOT_ALLOWED',
      reasons: ['model_granted'],
    });
    expect(errorCode(await chat('city-small', SENSOR))).toBe('SERVICE_NOT_ALLOWED');
    const listed = await door('llm')(verified(ANALYZER, http('GET', '/v1/models')));
    expect(json(listed).data).toMatchObject([{ id: 'city-small' }]);
  });

  test('budget: what exceeds the calls of a minute is refused for that reason', async () => {
    const replies = await Promise.all(Array.from({ length: 6 }, () => chat('city-small')));
    const refused = replies.filter((reply) => reply.response.status === 403);
    expect(refused.length).toBeGreaterThanOrEqual(2);
    expect(json(refused.at(-1) ?? (await chat('x'))).error).toMatchObject({
      code: 'BUDGET_EXCEEDED',
      reasons: ['budget_left'],
    });
  });

  test('collections: query agents read, training writes, and neither does the other', async () => {
    const ask = (from: typeof ANALYZER, route: string, body: object) =>
      door('vector')(verified(from, http('POST', `/collections/runbooks/${route}`, body)));
    const points = [{ id: 'a', text: 'b' }];
    expect((await ask(ANALYZER, 'query', { text: 'traffic slow' })).response.status).toBe(200);
    expect(errorCode(await ask(ANALYZER, 'points', { points }))).toBe(
      'COLLECTION_WRITE_NOT_ALLOWED',
    );
    expect((await ask(TRAINER, 'points', { points })).response.status).toBe(200);
    expect(errorCode(await ask(TRAINER, 'query', { text: 'a' }))).toBe(
      'COLLECTION_READ_NOT_ALLOWED',
    );
  });

  test('tools: within grant and bounds the works move; outside they do not', async () => {
    const call = (from: typeof ACTION) =>
      createToolCaller(async (request) =>
        accept((await door('mcp')(verified(from, request, { id: recordId() }))).response),
      );
    expect(await call(ACTION)('signal.set_plan', { plan: 'B' }, [])).toMatchObject({
      value: { done: true },
    });
    expect(await call(ACTION)('valve.status', {}, [])).toMatchObject({
      value: { done: true, result: { valve_pct: 50 } },
    });
    expect(await call(ACTION)('valve.set', { delta_pct: 80 }, [])).toMatchObject({
      value: {
        done: false,
        refusal: { code: 'ARGUMENT_NOT_ALLOWED', reasons: ['arguments_within_bounds'] },
      },
    });
    expect(await call(ANALYZER)('valve.set', { delta_pct: 5 }, [])).toMatchObject({
      value: { done: false, refusal: { code: 'SERVICE_NOT_ALLOWED' } },
    });
    const observed = await fetch(`${services.get('city-works')?.observedAt}/state`);
    expect(await observed.json()).toMatchObject({ signals: { north: 'B' }, valve_pct: 50 });
  });

  test('an answer carries the decision it was given under, allowed or denied', async () => {
    const carried = async (reply: ReturnType<typeof chat>) => (await reply).response.decision;
    const allowed = await carried(door('llm')(verified(ANALYZER, http('GET', '/v1/models'))));
    const denied = await carried(chat('city-large'));
    const logged = (id: string | undefined) => log.find(({ decision_id }) => decision_id === id);
    for (const [decision, allow] of [[allowed, true] as const, [denied, false] as const]) {
      const entry = logged(decision?.id);
      expect(decision).toEqual({
        id: entry?.decision_id,
        allow,
        reasons: entry?.result.reasons,
        revision: entry?.bundles.swarm.revision,
      });
    }
    expect(allowed?.reasons).toEqual(['subject_known', 'service_granted']);
    const call = http('POST', '/mcp', {
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'valve.set', arguments: { delta_pct: 80 } },
    });
    const tool = (await door('mcp')(verified(ACTION, call))).response;
    expect(tool.decision).toMatchObject({ allow: false, reasons: ['arguments_within_bounds'] });
    // What asked no policy says so by carrying none.
    const unknown = await door('llm')(verified(ANALYZER, http('GET', '/nothing')));
    expect(unknown.response).not.toHaveProperty('decision');
    expect(parseResponse(encodeResponse(tool))).toEqual({ ok: true, value: tool });
  });

  test('every decision named its revision and its record', () => {
    expect(log.length).toBeGreaterThan(10);
    for (const entry of log) {
      expect(entry.bundles.swarm.revision).toMatch(/^[0-9a-f]{64}$/);
      expect(entry.input.context.record).toMatch(/^[A-Za-z0-9_-]{43}$/);
    }
  });
});

test('the list of services is complete and the schemas are strict', () => {
  expect(SERVICE_NAMES).toEqual(['llm', 'vector', 'mcp', 'city-works']);
  expect([isServiceName('llm'), isServiceName('constructor')]).toEqual([true, false]);
  for (const name of SERVICE_NAMES) {
    expect(serviceSchemas[name].safeParse({}).success).toBe(true);
    expect(serviceSchemas[name].safeParse({ unknown: 1 }).success).toBe(false);
  }
});

test.each([
  ['http://127.0.0.1:11434/v1', true],
  ['https://models.example/v1', true],
  ['https://user:key@models.example/v1', false],
  ['file:///etc/passwd', false],
  ['models.example', false],
])('an upstream at %s: accepted %s', (baseUrl, accepted) => {
  expect(serviceSchemas.llm.safeParse({ upstream: { baseUrl } }).success).toBe(accepted);
});
