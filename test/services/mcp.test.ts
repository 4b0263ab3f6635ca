import { afterEach, expect, test } from 'vitest';
import { createToolCaller } from '#services/mcp/client.ts';
import { buildTools } from '#services/mcp/tools.ts';
import { WORKS_TOOLS } from '#services/mcp/works-tools.ts';
import { type CityOptions, openCity } from './city.ts';
import { ACTION, allowAll, errorCode, http, MCP, recordId, SENSOR, verified } from './world.ts';

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

function city(options?: CityOptions) {
  const opened = openCity(options);
  open.push(opened.close);
  return opened;
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
      result: { done: true, order: id, district: 'north', plan: 'B' },
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
    value: { done: false, refusal: { code: 'OPERATION_NOT_ALLOWED', reasons: ['default_deny'] } },
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
  expect(refused).toMatchObject({
    value: { done: false, refusal: { code: 'OPERATION_NOT_ALLOWED' } },
  });
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

test.each([
  ['an act of another tool', 'valve.status'],
  ['a record that is no act', false],
] as const)(
  'a tool called by %s does not run; by an act that names it, it does',
  async (_by, act) => {
    const { works, door, log } = city();
    const params = { name: 'valve.set', arguments: { delta_pct: 5 } };
    const call = http('POST', '/mcp', { jsonrpc: '2.0', id: 1, method: 'tools/call', params });
    const refused = await door(verified(ACTION, call, { act }));
    expect([refused.response.status, errorCode(refused)]).toEqual([400, 'ACT_MISMATCH']);
    expect(log).toHaveLength(0);
    expect(works.state().valve_pct).toBe(50);
    const done = await door(verified(ACTION, call, { act: 'valve.set' }));
    expect(done.response.status).toBe(200);
    expect(works.state().valve_pct).toBe(55);
  },
);

test('an act that calls no tool, or one without a name, is refused; a plain question is answered', async () => {
  const { door } = city();
  const list = http('POST', '/mcp', { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} });
  expect(errorCode(await door(verified(ACTION, list, { act: 'valve.set' })))).toBe('ACT_MISMATCH');
  const nameless = http('POST', '/mcp', {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: {},
  });
  expect(errorCode(await door(verified(ACTION, nameless, { act: false })))).toBe('BODY_INVALID');
  expect((await door(verified(ACTION, list))).response.status).toBe(200);
});

test('a tool that moves something waits for the ledger; one that only reads does not', async () => {
  const { works, call } = city({ witnessed: false });
  // Of high risk or not: before the ledger has spoken, one cause could be acted upon twice.
  expect(await call('signal.set_plan', { plan: 'B' }, [])).toMatchObject({
    value: { done: false, refusal: { code: 'CAUSE_NOT_WITNESSED' } },
  });
  expect(await call('valve.set', { delta_pct: 5 }, [])).toMatchObject({
    value: { done: false, refusal: { code: 'CAUSE_NOT_WITNESSED' } },
  });
  expect(works.state().orders).toHaveLength(0);
  expect(await call('valve.status', {}, [])).toEqual({
    ok: true,
    value: { done: true, result: { valve_pct: 50 } },
  });
});

test('the answer of the works lost: the state is asked, and the order found there is done', async () => {
  const { works, call, calls } = city({ loses: ({ recordKind }) => recordKind === 'act' });
  expect(await call('valve.set', { delta_pct: 5 }, [])).toMatchObject({
    value: { done: true, result: { confirmed_by: 'state' } },
  });
  expect(works.state().valve_pct).toBe(55);
  // One act for one cause: the ledger takes no second.
  expect(calls.map((one) => one.recordKind)).toEqual(['act', 'tool.call']);
});

test('no answer at all: the tool reports that the outcome is not known, applied or not', async () => {
  const lost = city({ loses: () => true });
  const unknown = { value: { done: false, refusal: { code: 'ORDER_OUTCOME_UNKNOWN' } } };
  expect(await lost.call('valve.set', { delta_pct: 5 }, [])).toMatchObject(unknown);
  // It was applied. Success and failure would both have been a guess.
  expect(lost.works.state().valve_pct).toBe(55);
  const dropped = city({ drops: ({ recordKind }) => recordKind === 'act' });
  expect(await dropped.call('valve.set', { delta_pct: 5 }, [])).toMatchObject(unknown);
  expect(dropped.works.state().valve_pct).toBe(50);
  expect(await lost.call('valve.status', {}, [])).toMatchObject({
    value: { done: false, refusal: { code: 'WORKS_UNAVAILABLE' } },
  });
});

test('the answer is attested with its decision, and rests on the record of the works', async () => {
  const { door, log, calls } = city();
  const call = { name: 'valve.set', arguments: { delta_pct: 5 } };
  const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: call };
  const id = recordId();
  const reply = await door(verified(ACTION, http('POST', '/mcp', body), { id }));
  const claim = { kind: 'tool', model: 'valve.set', rid: log[0]?.decision_id, signed: false };
  expect(reply.tool).toEqual(claim);
  expect(reply.causes).toHaveLength(1);
  expect(calls).toMatchObject([{ recordKind: 'act', cause: id, tool: claim }]);
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
