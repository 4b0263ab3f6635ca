import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Where words can stand that are nobody's business; none may be in what is exported. */
export const SECRETS = {
  key: 'sk-planted-9f8e7d6c5b4a',
  note: 'planted-note-in-a-reading',
  answer: 'planted-words-of-the-model',
  argument: 'planted-argument-of-a-tool',
  prompt: 'You watch the traffic',
  runbook: 'Longer green phases',
};

/** What a request to the model brought. */
export interface Asked {
  readonly key: string | undefined;
  readonly body: string;
}

export interface PlantingModel {
  readonly baseUrl: string;
  readonly asked: readonly Asked[];
  close(): void;
}

/** A model server that proposes a plan, then one that no policy allows, then only says something. */
export async function modelServer(): Promise<PlantingModel> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    asked.push({ key: request.headers.authorization, body });
    const [tool] = JSON.parse(body).tools;
    const plan = asked.length === 1 ? 'B' : SECRETS.argument;
    const call = {
      id: 'call-1',
      type: 'function',
      function: { name: tool.function.name, arguments: JSON.stringify({ plan }) },
    };
    const words = asked.length > 2;
    const message = {
      role: 'assistant',
      content: words ? SECRETS.answer : null,
      ...(words ? {} : { tool_calls: [call] }),
    };
    const answer = {
      id: 'chat-1',
      object: 'chat.completion',
      created: 1,
      model: 'city-small',
      choices: [{ index: 0, message, finish_reason: words ? 'stop' : 'tool_calls' }],
      usage: { prompt_tokens: 123, completion_tokens: 45, total_tokens: 168 },
    };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
