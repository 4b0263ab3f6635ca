import type { Model, ModelAnswer } from './mock-model.ts';
import { type ChatRequest, type ChatResponse, chatResponse } from './schema.ts';

export interface UpstreamOptions {
  /** Base of an OpenAI-compatible server, such as `http://127.0.0.1:11434/v1`. */
  readonly baseUrl: string;
  /** Sent as a bearer token; never logged, never part of an error. */
  readonly apiKey?: string;
  readonly timeoutMs: number;
  readonly fetch: typeof fetch;
}

/** An answer larger than this is not read to its end. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/**
 * A model behind an OpenAI-compatible server. What goes out is the parsed request serialised again;
 * what comes back is believed only where it has the exact form, names tools that were offered, and
 * gives them arguments that are a JSON object.
 */
export function createUpstreamModel(options: UpstreamOptions): Model {
  const url = `${options.baseUrl.replace(/\/+$/, '')}/chat/completions`;
  return async (request) => {
    const names = wireNames(request);
    const signal = AbortSignal.timeout(options.timeoutMs);
    let text: string | undefined;
    try {
      const response = await options.fetch(url, {
        method: 'POST',
        // A redirect would carry the key and the prompt to a place nobody configured.
        redirect: 'error',
        signal,
        headers: {
          'content-type': 'application/json',
          ...(options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }),
        },
        body: JSON.stringify(toWire(request, names)),
      });
      if (!response.ok) {
        await response.body?.cancel();
        return failed('MODEL_UNAVAILABLE', `the model server answered ${response.status}`);
      }
      text = await readLimited(response);
    } catch {
      if (signal.aborted) {
        return failed('MODEL_TIMEOUT', `no answer within ${options.timeoutMs} ms`);
      }
      return failed('MODEL_UNAVAILABLE', 'the model server cannot be reached');
    }
    if (text === undefined) return failed('MODEL_INVALID_RESPONSE', 'the answer is too large');
    return readAnswer(text, request, names);
  };
}

function readAnswer(text: string, request: ChatRequest, names: WireNames): ModelAnswer {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return failed('MODEL_INVALID_RESPONSE', 'the answer is not JSON');
  }
  const parsed = chatResponse.safeParse(json);
  if (!parsed.success) {
    const path = parsed.error.issues[0]?.path.join('.') ?? '';
    return failed('MODEL_INVALID_RESPONSE', `the answer is no chat completion: ${path}`);
  }
  const answer = parsed.data;
  for (const call of answer.choices[0]?.message.tool_calls ?? []) {
    const name = names.fromWire.get(call.function.name);
    if (name === undefined) {
      return failed('MODEL_INVALID_RESPONSE', 'the model calls a tool it was not offered');
    }
    if (!isJsonObject(call.function.arguments)) {
      return failed('MODEL_INVALID_RESPONSE', 'the arguments of a tool call are no JSON object');
    }
    call.function.name = name;
  }
  return { ok: true, value: { ...answer, model: request.model } satisfies ChatResponse };
}

interface WireNames {
  readonly toWire: ReadonlyMap<string, string>;
  readonly fromWire: ReadonlyMap<string, string>;
}

/** OpenAI's tool names have no dots; MCP's do. Unique per request, so that the way back is sure. */
function wireNames(request: ChatRequest): WireNames {
  const toWire = new Map<string, string>();
  const fromWire = new Map<string, string>();
  for (const { function: tool } of request.tools ?? []) {
    let wire = tool.name.replaceAll('.', '__');
    while (fromWire.has(wire)) wire += '_';
    toWire.set(tool.name, wire);
    fromWire.set(wire, tool.name);
  }
  return { toWire, fromWire };
}

function toWire(request: ChatRequest, { toWire: names }: WireNames): ChatRequest {
  const rename = (name: string) => names.get(name) ?? name.replaceAll('.', '__');
  const choice = request.tool_choice;
  return {
    ...request,
    messages: request.messages.map((message) =>
      message.role === 'assistant' && message.tool_calls !== undefined
        ? {
            ...message,
            tool_calls: message.tool_calls.map((call) => ({
              ...call,
              function: { ...call.function, name: rename(call.function.name) },
            })),
          }
        : message,
    ),
    ...(request.tools && {
      tools: request.tools.map((tool) => ({
        ...tool,
        function: { ...tool.function, name: rename(tool.function.name) },
      })),
    }),
    ...(typeof choice === 'object' && {
      tool_choice: { ...choice, function: { name: rename(choice.function.name) } },
    }),
  };
}

async function readLimited(response: Response): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  if (response.body === null) return '';
  for await (const chunk of response.body) {
    length += chunk.byteLength;
    if (length > MAX_ANSWER_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

function failed(code: Extract<ModelAnswer, { ok: false }>['code'], detail: string): ModelAnswer {
  return { ok: false, code, detail };
}
