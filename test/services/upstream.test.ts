import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { openDoor } from '#services/door.ts';
import { createLlmApp } from '#services/llm/app.ts';
import { createMockModel } from '#services/llm/mock-model.ts';
import { chatRequest } from '#services/llm/schema.ts';
import { createUpstreamModel } from '#services/llm/upstream.ts';
import { createUsageMeter } from '#services/llm/usage.ts';
import {
  ANALYZER,
  allowAll,
  authorizer,
  errorCode,
  http,
  json,
  policyOf,
  verified,
} from './world.ts';

const KEY = 'sk-very-secret';
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Seen {
  readonly url: string | undefined;
  readonly authorization: string | undefined;
  readonly body: Record<string, unknown>;
}

/** A real model server on loopback that answers what a test tells it to. */
async function upstream(
  answer: (seen: Seen, response: ServerResponse) => void,
  timeoutMs = 30_000,
) {
  const seen: Seen[] = [];
  const server = createServer(async (request: IncomingMessage, response) => {
    const { authorization } = request.headers;
    let body: Record<string, unknown>;
    try {
      let text = '';
      for await (const chunk of request) text += chunk;
      body = JSON.parse(text);
    } catch {
      // Whose time is up goes away, also in the middle of its question.
      return;
    }
    const one = { url: request.url, authorization, body };
    seen.push(one);
    answer(one, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const app = createLlmApp({
    authorize: authorizer('llm', policyOf(allowAll)).authorize,
    models: ['city-small'],
    model: createUpstreamModel({
      baseUrl: `http://127.0.0.1:${port}/v1/`,
      apiKey: KEY,
      timeoutMs,
      fetch,
    }),
    provider: 'openai',
    meter: createUsageMeter(() => 0),
  });
  closing.push(
    () => app.close(),
    () => server.closeAllConnections(),
    () => server.close(),
  );
  const door = openDoor(app);
  const chat = (body: object = {}) =>
    door(verified(ANALYZER, http('POST', '/v1/chat/completions', { ...REQUEST, ...body })));
  return { chat, seen };
}

const REQUEST = {
  model: 'city-small',
  messages: [{ role: 'user', content: 'Call valve.set with delta_pct 5.' }],
  tools: [
    {
      type: 'function',
      function: {
        name: 'valve.set',
        parameters: { type: 'object', properties: { delta_pct: { type: 'number' } } },
      },
    },
  ],
};

const COMPLETION = {
  id: 'c-1',
  object: 'chat.completion',
  created: 1,
  model: 'other-name-upstream',
  choices: [
    {
      index: 0,
      message: {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'x', type: 'function', function: { name: 'valve__set', arguments: '{"a":1}' } },
        ],
      },
      finish_reason: 'tool_calls',
    },
  ],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
};

function send(response: ServerResponse, body: unknown, status = 200) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

test('a genuine answer comes through, tool names mapped there and back', async () => {
  const { chat, seen } = await upstream((_seen, response) => send(response, COMPLETION));
  const reply = await chat();
  expect(json(reply)).toMatchObject({
    model: 'city-small',
    choices: [{ message: { tool_calls: [{ function: { name: 'valve.set' } }] } }],
  });
  expect(seen[0]).toMatchObject({
    url: '/v1/chat/completions',
    authorization: `Bearer ${KEY}`,
    body: { tools: [{ function: { name: 'valve__set' } }] },
  });
  expect(reply.tool).toMatchObject({ rid: 'c-1', model: 'city-small' });
});

test('what policy has not seen does not go upstream', async () => {
  const { chat, seen } = await upstream((_seen, response) => send(response, COMPLETION));
  await chat({ file_ids: ['weights'], metadata: { x: 1 } });
  expect(Object.keys(seen[0]?.body ?? {}).sort()).toEqual(['messages', 'model', 'tools']);
});

test('a model that does not answer in time is reported as that, without its key', async () => {
  const { chat } = await upstream(() => {}, 100);
  const reply = await chat();
  expect([reply.response.status, errorCode(reply)]).toEqual([504, 'MODEL_TIMEOUT']);
  expect(reply.response.body).not.toContain(KEY);
  expect(reply.tool).toBeUndefined();
});

test('a model that stalls in the middle of its answer is a timeout too', async () => {
  const { chat } = await upstream((_seen, response) => {
    response.writeHead(200);
    response.write('{"id":');
  }, 150);
  expect(errorCode(await chat())).toBe('MODEL_TIMEOUT');
});

const choice = COMPLETION.choices[0];
const withCall = (call: object) => ({
  ...COMPLETION,
  choices: [
    {
      ...choice,
      message: {
        ...choice?.message,
        tool_calls: [{ id: 'x', type: 'function', function: call }],
      },
    },
  ],
});

test.each([
  ['text', 'I think, therefore'],
  ['another JSON', { hello: 1 }],
  ['no choices', { ...COMPLETION, choices: [] }],
  ['negative usage', { ...COMPLETION, usage: { ...COMPLETION.usage, total_tokens: -1 } }],
  ['a tool not offered', withCall({ name: 'door.open', arguments: '{}' })],
  ['arguments that are no object', withCall({ name: 'valve__set', arguments: '[1]' })],
  ['arguments that are no JSON', withCall({ name: 'valve__set', arguments: 'delta 5' })],
  ['an endless answer', JSON.stringify({ ...COMPLETION, pad: 'x'.repeat(1_100_000) })],
])('nonsense from upstream is refused: %s', async (_what, answer) => {
  const { chat } = await upstream((_seen, response) => send(response, answer));
  const reply = await chat();
  expect([reply.response.status, errorCode(reply)]).toEqual([502, 'MODEL_INVALID_RESPONSE']);
});

test.each([
  ['an error', (response: ServerResponse) => send(response, { error: { message: KEY } }, 500)],
  [
    'a redirect',
    (response: ServerResponse) => {
      response.writeHead(307, { location: 'http://127.0.0.1:1/steal' });
      response.end();
    },
  ],
  ['a broken connection', (response: ServerResponse) => response.destroy()],
])('an unavailable model server is reported as that: %s', async (_what, answer) => {
  const { chat } = await upstream((_seen, response) => answer(response));
  const reply = await chat();
  expect([reply.response.status, errorCode(reply)]).toEqual([502, 'MODEL_UNAVAILABLE']);
  expect(reply.response.body).not.toContain(KEY);
});

test('the service can stand upstream of another: its own answers pass the strict reading', async () => {
  const mock = createMockModel(() => 5);
  const { chat } = await upstream(async (seen, response) => {
    const answer = await mock(chatRequest.parse(seen.body));
    send(response, answer.ok ? answer.value : {});
  });
  // Upstream was offered `valve__set`, and the text names `valve.set`: nothing to obey there.
  expect(json(await chat()).choices).toMatchObject([{ finish_reason: 'stop' }]);
  const named = { messages: [{ role: 'user', content: 'Call valve__set with delta_pct 5.' }] };
  expect(json(await chat(named)).choices).toMatchObject([
    {
      message: { tool_calls: [{ function: { name: 'valve.set', arguments: '{"delta_pct":5}' } }] },
    },
  ]);
});
