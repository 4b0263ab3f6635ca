import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterEach, expect, test } from 'vitest';
import { accept, refuse } from '#identity/outcome.ts';
import { createToolCaller } from '#services/mcp/client.ts';
import { type CityOptions, openCity, TOOLS } from './city.ts';
import { ACTION, allowAll, errorCode, http, verified } from './world.ts';

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

function city(options?: CityOptions) {
  const opened = openCity(options);
  open.push(opened.close);
  return opened;
}

const POST = { method: 'POST', path: '/mcp', contentType: 'application/json' } as const;

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
        const { value } = await over({ ...POST, body: String(init.body) });
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

/** Answers to another question are none: nothing but the caller's own time ends the call then. */
test.each([
  [{ status: 500, body: '{"error":{"code":"INTERNAL","message":"m"}}' }, 'INTERNAL'],
  [{ status: 502, body: '<html>' }, 'MCP_FAILED'],
  [{ status: 200, body: '{"jsonrpc":"2.0","id":99,"result":{}}' }, 'MCP_FAILED'],
  [{ status: 200, body: 'nonsense' }, 'MCP_FAILED'],
])('an answer that is no tool result is a refusal: %j', async (answer, code) => {
  const call = createToolCaller(
    async () => accept({ contentType: 'application/json', ...answer }),
    { timeoutMs: code === 'MCP_FAILED' ? 300 : 30_000 },
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
