import { z } from 'zod';
import { fromBytes, fromText } from '#agents/json.ts';
import { type BusResponse, parseRequest, parseResponse } from '#bus/http-message.ts';

/** A tool and what it is given, as an agent signed it. */
export interface Order {
  readonly tool: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** Why a service did not do what it was asked. */
export interface Failure {
  readonly code: string;
  readonly status: number;
}

const call = z.object({
  method: z.string(),
  params: z
    .object({ name: z.string(), arguments: z.record(z.string(), z.unknown()).default({}) })
    .optional(),
});
const bodyError = z.object({ error: z.object({ code: z.string() }) });
const toolAnswer = z.object({
  result: z.object({
    isError: z.literal(true),
    structuredContent: z.object({ error: z.object({ code: z.string() }) }),
  }),
});
const completion = z.object({
  choices: z
    .array(
      z.object({
        message: z.object({
          content: z.string().nullish(),
          tool_calls: z
            .array(z.object({ function: z.object({ name: z.string(), arguments: z.string() }) }))
            .nullish(),
        }),
      }),
    )
    .min(1),
});
const hits = z.object({ points: z.array(z.object({ id: z.string() })) });
const argumentsObject = z.record(z.string(), z.unknown());

/** The MCP call in the payload of a request; `undefined` when it is none. */
export function readOrder(payload: Uint8Array): Order | undefined {
  const request = parseRequest(payload);
  if (!request.ok) return undefined;
  const parsed = call.safeParse(fromText(request.value.body));
  const params = parsed.data?.params;
  if (parsed.data?.method !== 'tools/call' || params === undefined) return undefined;
  return { tool: params.name, arguments: params.arguments };
}

/** Method and path of a request that is no MCP call. */
export function readRoute(payload: Uint8Array): string | undefined {
  const request = parseRequest(payload);
  return request.ok ? `${request.value.method} ${request.value.path}` : undefined;
}

export function readAnswer(payload: Uint8Array): BusResponse | undefined {
  const answer = parseResponse(payload);
  return answer.ok ? answer.value : undefined;
}

/** The refusal in an answer: of the service's door or route, of policy, or of a tool. */
export function failureOf({ status, body }: BusResponse): Failure | undefined {
  const value = fromText(body);
  const tool = toolAnswer.safeParse(value);
  if (tool.success) return { code: tool.data.result.structuredContent.error.code, status };
  if (status < 400) return undefined;
  return { code: bodyError.safeParse(value).data?.error.code ?? 'UNKNOWN', status };
}

/** What a model answered: the tool that it proposes, or its words. */
export function readChat(body: string): Order | string | undefined {
  const message = completion.safeParse(fromText(body)).data?.choices[0]?.message;
  const proposed = message?.tool_calls?.[0]?.function;
  if (proposed !== undefined) {
    const given = argumentsObject.safeParse(fromText(proposed.arguments));
    return { tool: proposed.name, arguments: given.data ?? {} };
  }
  return message?.content ?? undefined;
}

/** Ids of the points that a search found. */
export function readHits(body: string): readonly string[] | undefined {
  return hits.safeParse(fromText(body)).data?.points.map(({ id }) => id);
}

/** The whole payload on one line; of a request or an answer what it carries, not its wrapping. */
export function oneLine(payload: Uint8Array): string {
  const request = parseRequest(payload);
  if (request.ok) return `${request.value.method} ${request.value.path} ${request.value.body}`;
  const answer = readAnswer(payload);
  if (answer !== undefined) return `${answer.status} ${answer.body}`;
  const value = fromBytes(payload);
  return value === undefined ? Buffer.from(payload).toString('utf8') : JSON.stringify(value);
}
