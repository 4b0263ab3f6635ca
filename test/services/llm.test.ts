import { afterEach, expect, test } from 'vitest';
import { openDoor } from '#services/door.ts';
import { createLlmApp } from '#services/llm/app.ts';
import { EMBEDDING_MODEL, embed } from '#services/llm/embedding.ts';
import { createMockModel, type Model } from '#services/llm/mock-model.ts';
import { createUsageMeter } from '#services/llm/usage.ts';
import { RUNBOOKS, runbookText } from '#services/vector/runbooks.ts';
import {
  ANALYZER,
  authorizer,
  errorCode,
  http,
  json,
  policyOf,
  type Rule,
  SENSOR,
  TRAINER,
  verified,
} from './world.ts';

const PLAN_TOOL = {
  type: 'function',
  function: {
    name: 'signal.set_plan',
    parameters: { type: 'object', properties: { plan: { type: 'string', enum: ['A', 'B', 'C'] } } },
  },
};

const MODELS: Readonly<Record<string, readonly string[]>> = {
  [ANALYZER]: ['city-small'],
  [SENSOR]: ['city-large'],
};

const rules: Rule = ({ subject, action, resource, context }) => {
  if (action.name === 'models/list') return ['service_granted'];
  if (action.name === 'fine_tune') return subject.id === TRAINER ? ['training_granted'] : false;
  const usage = context.usage as { calls_minute: number; tokens_hour: number } | undefined;
  if (usage === undefined || usage.calls_minute >= 3 || usage.tokens_hour >= 5_000) return false;
  if (action.name === 'embeddings') return subject.id === ANALYZER ? ['model_granted'] : false;
  return MODELS[subject.id]?.includes(resource.id) ? ['model_granted'] : false;
};

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

function llm(options: { model?: Model; now?: () => number } = {}) {
  const { authorize, log } = authorizer('llm', policyOf(rules));
  const app = createLlmApp({
    authorize,
    models: ['city-small', 'city-large'],
    model: options.model ?? createMockModel(() => 1_700_000_000),
    provider: 'swarmproof',
    meter: createUsageMeter(options.now ?? (() => 1_700_000_000_000)),
  });
  open.push(() => app.close());
  const door = openDoor(app);
  const chat = (body: object, from = ANALYZER) =>
    door(
      verified(
        from,
        http('POST', '/v1/chat/completions', {
          model: 'city-small',
          messages: [{ role: 'user', content: 'hello' }],
          ...body,
        }),
      ),
    );
  return { door, chat, log };
}

const flooding = RUNBOOKS.find((runbook) => runbook.id === 'congestion');
const FINDING = {
  role: 'user',
  content: `Finding: mean speed 11 km/h. Best runbook:\n${flooding && runbookText(flooding)}`,
};

test('shown a finding with a runbook, the mock model proposes the runbook’s tool', async () => {
  const { chat } = llm();
  const reply = await chat({ messages: [FINDING], tools: [PLAN_TOOL] });
  expect(json(reply)).toMatchObject({
    object: 'chat.completion',
    model: 'city-small',
    choices: [
      {
        finish_reason: 'tool_calls',
        message: {
          content: null,
          tool_calls: [
            { type: 'function', function: { name: 'signal.set_plan', arguments: '{"plan":"C"}' } },
          ],
        },
      },
    ],
  });
});

test('the answer is deterministic, counts its tokens, and is attested for the record', async () => {
  const { chat } = llm();
  const [first, second] = [
    await chat({ messages: [FINDING] }),
    await chat({ messages: [FINDING] }),
  ];
  expect(first.response.body).toBe(second.response.body);
  const { id, usage } = json(first) as unknown as { id: string; usage: Record<string, number> };
  expect(usage.total_tokens).toBe((usage.prompt_tokens ?? 0) + (usage.completion_tokens ?? 0));
  expect(usage.prompt_tokens).toBeGreaterThan(50);
  expect(first.tool).toEqual({ kind: 'chat', model: 'city-small', rid: id, signed: false });
});

test('a model that is not granted is refused with reasons; the granted one answers', async () => {
  const { chat, log } = llm();
  const refused = await chat({ model: 'city-large' });
  expect([refused.response.status, errorCode(refused)]).toEqual([403, 'OPERATION_NOT_ALLOWED']);
  expect(json(refused).error).toMatchObject({
    reasons: ['default_deny'],
    decision: log[0]?.decision_id,
  });
  expect(refused.tool).toBeUndefined();
  expect((await chat({ model: 'city-large' }, SENSOR)).response.status).toBe(200);
  expect((await chat({})).response.status).toBe(200);
});

test('a streamed answer is refused with a reason; stream: false is not', async () => {
  const { chat } = llm();
  expect(errorCode(await chat({ stream: true }))).toBe('STREAMING_UNSUPPORTED');
  expect((await chat({ stream: false })).response.status).toBe(200);
});

test.each([
  ['no messages', { messages: [] }],
  ['a role that does not exist', { messages: [{ role: 'root', content: 'x' }] }],
  ['several choices', { n: 2 }],
  ['an endless answer', { max_tokens: 10_000_000 }],
  ['a tool with a space in its name', { tools: [{ type: 'function', function: { name: 'a b' } }] }],
])('%s is refused as a body', async (_what, body) => {
  const { chat, log } = llm();
  expect(errorCode(await chat(body))).toBe('BODY_INVALID');
  expect(log).toHaveLength(0);
});

test('only the granted models are listed, for each caller its own', async () => {
  const { door } = llm();
  const list = async (from: typeof ANALYZER) =>
    (
      json(await door(verified(from, http('GET', '/v1/models')))).data as unknown as {
        id: string;
      }[]
    ).map((model) => model.id);
  expect(await list(ANALYZER)).toEqual(['city-small', EMBEDDING_MODEL]);
  expect(await list(SENSOR)).toEqual(['city-large']);
});

test('a burst beyond the budget is refused, another caller is not, and time heals', async () => {
  let now = 1_700_000_000_000;
  const { chat } = llm({ now: () => now });
  const burst = await Promise.all(Array.from({ length: 6 }, () => chat({})));
  expect(burst.map((reply) => reply.response.status).sort()).toEqual([
    200, 200, 200, 403, 403, 403,
  ]);
  expect((await chat({ model: 'city-large' }, SENSOR)).response.status).toBe(200);
  now += 61_000;
  expect((await chat({})).response.status).toBe(200);
});

test('tokens are reserved before the model answers, so that concurrent calls cannot share them', async () => {
  const mock = createMockModel(() => 0);
  const gate = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const { chat } = llm({
    model: async (request) => {
      asked.resolve();
      await gate.promise;
      return mock(request);
    },
  });
  const slow = chat({ max_tokens: 5_000 });
  await asked.promise;
  expect(errorCode(await chat({}))).toBe('OPERATION_NOT_ALLOWED');
  gate.resolve();
  expect((await slow).response.status).toBe(200);
  // Settled to what was really used, the next call fits again.
  expect((await chat({})).response.status).toBe(200);
});

test('an upstream that reports no usage does not widen the budget', async () => {
  const mock = createMockModel(() => 0);
  const { chat, log } = llm({
    model: async (request) => {
      const answer = await mock(request);
      if (!answer.ok) return answer;
      const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
      return { ok: true, value: { ...answer.value, usage } };
    },
  });
  await chat({});
  await chat({});
  expect(log[1]?.input.context.usage).toMatchObject({ calls_minute: 1 });
  const usage = log[1]?.input.context.usage as { tokens_hour: number };
  expect(usage.tokens_hour).toBeGreaterThan(5);
});

test('embeddings: granted, deterministic, of length 1; refused to others', async () => {
  const { door } = llm();
  const ask = (from: typeof ANALYZER, model = EMBEDDING_MODEL) =>
    door(verified(from, http('POST', '/v1/embeddings', { model, input: ['slow traffic', ''] })));
  const body = json(await ask(ANALYZER)) as unknown as { data: { embedding: number[] }[] };
  expect(body.data[0]?.embedding).toEqual([...embed('slow traffic')]);
  for (const { embedding } of body.data) {
    expect(Math.hypot(...embedding)).toBeCloseTo(1, 5);
  }
  expect(errorCode(await ask(SENSOR))).toBe('OPERATION_NOT_ALLOWED');
  expect(errorCode(await ask(ANALYZER, 'other'))).toBe('MODEL_UNKNOWN');
});

test('who may query may not train; the training identity may', async () => {
  const { door } = llm();
  const tune = (from: typeof ANALYZER) =>
    door(
      verified(
        from,
        http('POST', '/v1/fine_tuning/jobs', { model: 'city-small', training_file: 'f1' }),
      ),
    );
  expect(errorCode(await tune(ANALYZER))).toBe('OPERATION_NOT_ALLOWED');
  expect(json(await tune(TRAINER))).toMatchObject({ object: 'fine_tuning.job', status: 'queued' });
});

test('max_tokens cuts the answer and says so', async () => {
  const { chat } = llm();
  expect(json(await chat({ max_tokens: 3 })).choices).toMatchObject([{ finish_reason: 'length' }]);
  expect(json(await chat({})).choices).toMatchObject([{ finish_reason: 'stop' }]);
});
