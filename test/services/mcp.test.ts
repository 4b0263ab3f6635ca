import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterEach, expect, test } from 'vitest';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { createCityWorksApp } from '#services/city-works/app.ts';
import { openWorks } from '#services/city-works/works.ts';
import { openDoor, type ServiceReply } from '#services/door.ts';
import { createMcpApp } from '#services/mcp/app.ts';
import { createToolCaller } from '#services/mcp/client.ts';
import { buildTools, type CallWorks } from '#services/mcp/tools.ts';
import { WORKS_TOOLS } from '#services/mcp/works-tools.ts';
import {
  ACTION,
  allowAll,
  authorizer,
  errorCode,
  http,
  MCP,
  policyOf,
  type Rule,
  recordId,
  SENSOR,
  verified,
} from './world.ts';

const TOOLS = {
  'signal.set_plan': { highRisk: false, arguments: { plan: { enum: ['A', 'B', 'C'] } } },
  'valve.set': { highRisk: true, arguments: { delta_pct: { min: -10, max: 10 } } },
  'valve.status': { highRisk: false, arguments: {} },
};

/** What Rego says of tools, as far as these tests need it. */
const toolRules: Rule = ({ subject, action, resource }) => {
  if (action.name !== 'tools/call' || subject.id !== ACTION) return false;
  const given = action.properties.arguments as { delta_pct?: number };
  if (given.delta_pct !== undefined && Math.abs(given.delta_pct) > 10) return false;
  return resource.id === 'valve.status' || resource.properties.district === 'north'
    ? ['tool_granted']
    : false;
};

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

type Lose = (attempt: number, reply: ServiceReply) => Outcome<ServiceReply['response']>;

function city(options: { rule?: Rule; lose?: Lose; witnessed?: boolean } = {}) {
  const works = openWorks(':memory:', () => new Date(1_700_000_000_000));
  const worksApp = createCityWorksApp({
    authorize: authorizer(
      'city-works',
      policyOf(({ subject }) => (subject.id === MCP ? ['orders_works'] : false)),
    ).authorize,
    works,
  });
  const worksDoor = openDoor(worksApp);
  let attempt = 0;
  const callWorks: CallWorks = async (request, cause) => {
    const reply = await worksDoor(verified(MCP, request, { causes: [cause] }));
    attempt += 1;
    return options.lose?.(attempt, reply) ?? accept(reply.response);
  };
  const { authorize, log } = authorizer('mcp', policyOf(options.rule ?? toolRules));
  const app = createMcpApp({
    authorize,
    tools: buildTools(TOOLS, WORKS_TOOLS),
    callWorks,
    witnessed: async () =>
      options.witnessed === false ? refuse('STALE', 'no checkpoint covers it') : accept(undefined),
  });
  closing.push(
    () => works.close(),
    () => worksApp.close(),
    () => app.close(),
  );
  const door = openDoor(app);
  const send =
    (from = ACTION, id = recordId()) =>
    async (request: ReturnType<typeof http>) =>
      accept((await door(verified(from, request, { id }))).response);
  return { works, door, worksDoor, log, send, call: createToolCaller(send()) };
}

test('a granted tool acts on the city works, once, in the name of the record that asked', async () => {
  const { works, send } = city();
  const id = recordId();
  const call = createToolCaller(send(ACTION, id));
  const answer = await call('signal.set_plan', { plan: 'B' }, []);
  expect(answer).toEqual({
    ok: true,
    value: {
      done: true,
      result: { done: true, order: id, attempts: 1, district: 'north', plan: 'B' },
    },
  });
  expect(works.state().signals).toEqual({ north: 'B' });
  // The same record presented again is the same order.
  await call('signal.set_plan', { plan: 'B' }, []);
  expect(works.state().orders).toHaveLength(1);
  expect(works.state().orders[0]).toMatchObject({ order: id, by: MCP });
});

test('a tool not granted is refused by policy before it runs; the granted twin runs', async () => {
  const { works, send, log } = city();
  const refused = await createToolCaller(send(SENSOR))('valve.set', { delta_pct: 5 }, []);
  expect(refused).toMatchObject({
    ok: true,
    value: { done: false, refusal: { code: 'POLICY_DENIED', reasons: ['default_deny'] } },
  });
  expect(works.state().valve_pct).toBe(50);
  expect(refused.ok && !refused.value.done && refused.value.refusal.decision).toBe(
    log[0]?.decision_id,
  );
  expect(await createToolCaller(send(ACTION))('valve.set', { delta_pct: 5 }, [])).toMatchObject({
    value: { done: true },
  });
  expect(works.state().valve_pct).toBe(55);
});

test('an argument out of bounds reaches policy, which refuses it; within bounds it runs', async () => {
  const { works, call, log } = city();
  const refused = await call('valve.set', { delta_pct: 80 }, []);
  expect(refused).toMatchObject({ value: { done: false, refusal: { code: 'POLICY_DENIED' } } });
  expect(log[0]?.input.action.properties).toEqual({ arguments: { delta_pct: 80 } });
  expect(works.state().valve_pct).toBe(50);
  expect(await call('valve.set', { delta_pct: -10 }, [])).toMatchObject({ value: { done: true } });
  expect(works.state().valve_pct).toBe(40);
});

test('an argument of the wrong type, or one the tool has not, never reaches the works', async () => {
  const { works, call, log } = city({ rule: allowAll });
  for (const given of [{ delta_pct: '5' }, { delta_pct: 5, force: true }, {}]) {
    expect(await call('valve.set', given, [])).toMatchObject({ value: { done: false } });
  }
  expect(log).toHaveLength(0);
  expect(works.state().orders).toHaveLength(0);
});

test('a high-risk tool waits for the witnesses; one that is not runs without them', async () => {
  const { works, call } = city({ witnessed: false });
  expect(await call('valve.set', { delta_pct: 5 }, [])).toMatchObject({
    value: { done: false, refusal: { code: 'CAUSE_NOT_WITNESSED' } },
  });
  expect(works.state().orders).toHaveLength(0);
  expect(await call('valve.status', {}, [])).toEqual({
    ok: true,
    value: { done: true, result: { valve_pct: 50 } },
  });
});

test('the answer of the works lost once: sent again, applied once, reported as done', async () => {
  const { works, call } = city({
    lose: (attempt, reply) =>
      attempt === 1 ? refuse('TIMEOUT', 'no answer') : accept(reply.response),
  });
  expect(await call('valve.set', { delta_pct: 5 }, [])).toMatchObject({
    value: { done: true, result: { attempts: 2 } },
  });
  expect(works.state().valve_pct).toBe(55);
});

test('the answer lost for good: the tool reports that the outcome is not known', async () => {
  const { works, call } = city({ lose: () => refuse('TIMEOUT', 'no answer') });
  expect(await call('valve.set', { delta_pct: 5 }, [])).toMatchObject({
    value: { done: false, refusal: { code: 'ORDER_OUTCOME_UNKNOWN' } },
  });
  // It was in fact applied, once: success and failure would both have been a guess.
  expect(works.state().valve_pct).toBe(55);
});

test('what the works cannot do is refused by the works, whatever policy says', async () => {
  const { call } = city({ rule: allowAll });
  expect(await call('signal.set_plan', { plan: 'Z' }, [])).toMatchObject({
    value: {
      done: false,
      refusal: { code: 'ORDER_REFUSED', message: expect.stringContaining('PLAN_UNKNOWN') },
    },
  });
  expect(await call('signal.set_plan', { plan: 'C' }, [])).toMatchObject({ value: { done: true } });
});

test('a caller without a district has none to set a plan for', async () => {
  const { send } = city({ rule: allowAll });
  const call = createToolCaller(send(MCP));
  expect(await call('signal.set_plan', { plan: 'B' }, [])).toMatchObject({
    value: { done: false, refusal: { code: 'DISTRICT_MISSING' } },
  });
});

function toolCall(id: number, name: string, given: unknown) {
  return { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: given } };
}

test('two calls in one POST are refused, and neither runs; each alone runs', async () => {
  const { works, door } = city();
  const calls = [
    toolCall(1, 'signal.set_plan', { plan: 'B' }),
    toolCall(2, 'valve.set', { delta_pct: 5 }),
  ];
  const refused = await door(verified(ACTION, http('POST', '/mcp', calls)));
  expect([refused.response.status, errorCode(refused)]).toEqual([400, 'BATCH_REFUSED']);
  expect(works.state().orders).toHaveLength(0);
  for (const call of calls) {
    expect((await door(verified(ACTION, http('POST', '/mcp', call)))).response.status).toBe(200);
  }
  expect(works.state().orders).toHaveLength(2);
});

test('methods that would stream are refused; listing tools is answered', async () => {
  const { door } = city();
  const listen = { jsonrpc: '2.0', id: 1, method: 'subscriptions/listen', params: {} };
  expect(errorCode(await door(verified(ACTION, http('POST', '/mcp', listen))))).toBe(
    'METHOD_REFUSED',
  );
  const list = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} };
  const listed = await door(verified(ACTION, http('POST', '/mcp', list)));
  expect(listed.response.body).toContain('valve.set');
});

test.each(['2025', '2026-07-28'])(
  'the official client of revision %s lists and calls',
  async (era) => {
    const { send, works } = city();
    const over = send();
    const transport = new StreamableHTTPClientTransport(new URL('http://mcp/mcp'), {
      fetch: async (_url, init) => {
        if (init?.method !== 'POST') return new Response(null, { status: 405 });
        const { value } = await over(http('POST', '/mcp', String(init.body)));
        const body = value.status === 202 ? null : value.body;
        return new Response(body, {
          status: value.status,
          headers: { 'content-type': value.contentType },
        });
      },
    });
    const mode = era === '2025' ? ('legacy' as const) : { pin: era };
    const client = new Client({ name: 't', version: '1' }, { versionNegotiation: { mode } });
    await client.connect(transport);
    const { tools } = await client.listTools();
    expect(tools.map((tool) => tool.name)).toEqual(Object.keys(TOOLS));
    expect(tools[1]?.inputSchema.properties).toMatchObject({
      delta_pct: { type: 'number', minimum: -10, maximum: 10 },
    });
    const result = await client.callTool({ name: 'valve.set', arguments: { delta_pct: 5 } });
    expect(result.isError ?? false).toBe(false);
    expect(works.state().valve_pct).toBe(55);
    await client.close();
  },
);

test('hostile names and methods are answered, never thrown at', async () => {
  const { door, works } = city({ rule: allowAll });
  const version = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
  for (const body of [
    { jsonrpc: '2.0', id: 1, method: 'tools/call\r\nX: 1', params: {} },
    { ...toolCall(1, 'valve.set\r\nx-peer: root', { delta_pct: 1 }) },
    { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: '☃', _meta: version } },
    { jsonrpc: '2.0', id: 1, method: 'tools/call', params: null },
    { jsonrpc: '2.0', id: { a: 1 }, method: 'tools/call', params: { name: 'valve.set' } },
    '{"__proto__":{"method":"tools/call"}}',
    'null',
    '"tools/call"',
  ]) {
    const { response } = await door(verified(ACTION, http('POST', '/mcp', body)));
    expect(response.status).toBeLessThan(500);
  }
  expect(works.state().orders).toHaveLength(0);
});

test('when no answer comes over the bus, the caller gets the refusal of the bus', async () => {
  const call = createToolCaller(async () => refuse('BUS_TIMEOUT', 'no reply'));
  expect(await call('valve.status', {}, [])).toEqual({
    ok: false,
    code: 'BUS_TIMEOUT',
    detail: 'no reply',
  });
});

test.each([
  [{ status: 500, body: '{"error":{"code":"INTERNAL","message":"m"}}' }, 'INTERNAL'],
  [{ status: 502, body: '<html>' }, 'MCP_FAILED'],
  [{ status: 200, body: '{"jsonrpc":"2.0","id":99,"result":{}}' }, 'MCP_FAILED'],
  [{ status: 200, body: 'nonsense' }, 'MCP_FAILED'],
])('an answer that is no tool result is a refusal: %j', async (answer, code) => {
  const call = createToolCaller(
    async () => accept({ contentType: 'application/json', ...answer }),
    {
      timeoutMs: 300,
    },
  );
  expect(await call('valve.status', {}, [])).toMatchObject({ ok: false, code });
});

test('calls at the same time keep their causes apart', async () => {
  const seen: [string, readonly string[]][] = [];
  const { send } = city();
  const over = send();
  const call = createToolCaller<string>(async (request, causes) => {
    seen.push([JSON.parse(request.body).params.arguments.delta_pct, causes]);
    return over(request);
  });
  await Promise.all([1, 2, 3, 4].map((n) => call('valve.set', { delta_pct: n }, [`cause-${n}`])));
  expect(seen.map(([n, causes]) => causes[0] === `cause-${n}`)).toEqual([true, true, true, true]);
});

test('tool data that cannot be run is refused at start, by name', () => {
  const unknown = { 'door.open': { highRisk: false, arguments: {} } };
  expect(() => buildTools(unknown, WORKS_TOOLS)).toThrow('no tool "door.open"');
  const odd = { 'valve.set': { highRisk: false, arguments: { speed: { min: 0, max: 1 } } } };
  expect(() => buildTools(odd, WORKS_TOOLS)).toThrow('no argument "speed"');
});

test('a changed bound or description is another manifest; the same data is the same', () => {
  const manifests = (max: number) =>
    buildTools(
      { 'valve.set': { highRisk: true, arguments: { delta_pct: { min: -10, max } } } },
      WORKS_TOOLS,
    ).map((tool) => tool.manifest);
  expect(manifests(10)).toEqual(manifests(10));
  expect(manifests(10)).not.toEqual(manifests(90));
});
