import { expect, test } from 'vitest';
import type { Decision, Policy } from '#policy/decision.ts';
import { denialCode } from '#services/authorize.ts';
import type { Peer } from '#services/door.ts';
import { ANALYZER, allowAll, authorizer, policyOf, recordId } from './world.ts';

const peer: Peer = {
  id: ANALYZER,
  kind: 'agent',
  district: 'north',
  recordId: recordId(),
  causes: [],
  act: undefined,
};
const route = { method: 'POST', path: '/v1/chat/completions' };
const question = {
  action: 'chat',
  properties: { messages: [{ role: 'user', content: 'my secret' }], max_tokens: 5 },
  masked: ['messages'],
  resource: { type: 'model', id: 'm', properties: { service: 'forged' } },
  context: { usage: { calls_minute: 1, tokens_hour: 2 }, time: 0, record: 'forged' },
};

test('the question is made of peer, route and body, in AuthZEN’s terms', () => {
  const inputs: unknown[] = [];
  const { authorize } = authorizer(
    'llm',
    policyOf((input) => {
      inputs.push(input);
      return ['ok'];
    }),
  );
  expect(authorize(peer, route, question).allow).toBe(true);
  expect(inputs[0]).toEqual({
    subject: { type: 'agent', id: ANALYZER, properties: { trust_domain: 'city.example' } },
    action: { name: 'chat', properties: question.properties },
    resource: { type: 'model', id: 'm', properties: { service: 'llm' } },
    context: {
      usage: { calls_minute: 1, tokens_hour: 2 },
      time: 1_700_000_000,
      record: peer.recordId,
      request: route,
    },
  });
});

test('each decision is logged with OPA’s field names, and no prompt in it', () => {
  const { authorize, log } = authorizer('llm', policyOf(allowAll));
  const decision = authorize(peer, route, question);
  expect(log).toEqual([
    {
      decision_id: decision.id,
      timestamp: '2023-11-14T22:13:20.000Z',
      path: 'swarmproof/authz/decision',
      labels: { service: 'llm' },
      bundles: { swarm: { revision: 'r1' } },
      input: expect.objectContaining({
        action: { name: 'chat', properties: { messages: '(masked)', max_tokens: 5 } },
      }),
      result: { allow: true, reasons: ['allowed'], obligations: {} },
      masked: ['/input/action/properties/messages'],
      metrics: { timer_rego_query_eval_ns: expect.any(Number) },
    },
  ]);
  expect(JSON.stringify(log)).not.toContain('my secret');
});

function answering(decide: () => Decision): Policy {
  return { revision: 'r1', decide, permissions: () => undefined };
}

const yes: Decision = { id: 'd', allow: true, reasons: ['ok'], obligations: {}, revision: 'r1' };

test('only a plain yes allows', () => {
  const ask = (decide: () => Decision) => {
    const { authorize, log } = authorizer('llm', answering(decide));
    const { allow, reasons } = authorize(peer, route, question);
    expect(log[0]?.result.allow).toBe(allow);
    return [allow, ...reasons];
  };
  expect(ask(() => yes)).toEqual([true, 'ok']);
  expect(ask(() => ({ ...yes, allow: false }))).toEqual([false, 'ok']);
  expect(ask(() => ({ ...yes, allow: 'yes' as unknown as boolean }))).toEqual([false, 'ok']);
  expect(ask(() => ({ ...yes, obligations: { approval: 'ana' } }))).toEqual([
    false,
    'obligation_unknown',
  ]);
  expect(ask(() => undefined as unknown as Decision)).toEqual([false, 'policy_error']);
  expect(
    ask(() => {
      throw new Error('wasm trap with secrets');
    }),
  ).toEqual([false, 'policy_error']);
});

test('the code of a denial is that of the first check that failed', () => {
  const codeOf = (...reasons: string[]) => denialCode({ reasons });
  expect(codeOf('tool_granted', 'own_district')).toBe('TOOL_NOT_ALLOWED');
  expect(codeOf('default_deny')).toBe('OPERATION_NOT_ALLOWED');
  // What policy did not name itself, and what an object has by nature, has no code of its own.
  expect([codeOf('obligation_unknown'), codeOf('toString'), codeOf()]).toEqual(
    Array.from({ length: 3 }, () => 'POLICY_DENIED'),
  );
});
