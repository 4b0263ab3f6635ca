import { createHash } from 'node:crypto';
import { findInstruction, findRunbook, type Instruction } from './instructions.ts';
import type { ChatMessage, ChatRequest, ChatResponse } from './schema.ts';
import { textOf } from './schema.ts';
import { countPromptTokens, countTokens } from './tokens.ts';

/** Answers a chat request; the same request has the same answer, `created` aside. */
export type Model = (request: ChatRequest) => Promise<ModelAnswer>;

export type ModelAnswer =
  | { readonly ok: true; readonly value: ChatResponse }
  | {
      readonly ok: false;
      readonly code: 'MODEL_TIMEOUT' | 'MODEL_UNAVAILABLE' | 'MODEL_INVALID_RESPONSE';
      readonly detail: string;
    };

/**
 * A model without weights: obeys the last instruction that names an offered tool (the grammar is in
 * `instructions.ts`), else proposes the tool of a runbook it was shown, else answers in words.
 * @param now seconds since the epoch
 */
export function createMockModel(now: () => number): Model {
  return async (request) => {
    const chosen = choose(request);
    const digest = createHash('sha256').update(JSON.stringify(request)).digest('hex');
    const full = chosen === undefined ? answerInWords(request) : null;
    const content = full === null ? null : limit(full, request.max_tokens);
    const calls = chosen === undefined ? undefined : [toolCall(chosen, digest)];
    const prompt = countPromptTokens(request);
    const completion = countTokens(calls === undefined ? (content ?? '') : JSON.stringify(calls));
    return {
      ok: true,
      value: {
        id: `chatcmpl-${digest.slice(0, 24)}`,
        object: 'chat.completion',
        created: now(),
        model: request.model,
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content, ...(calls && { tool_calls: calls }) },
            finish_reason: calls ? 'tool_calls' : content === full ? 'stop' : 'length',
          },
        ],
        usage: {
          prompt_tokens: prompt,
          completion_tokens: completion,
          total_tokens: prompt + completion,
        },
      },
    };
  };
}

function choose(request: ChatRequest): Instruction | undefined {
  const choice = request.tool_choice;
  const all = request.tools ?? [];
  if (choice === 'none' || all.length === 0) return undefined;
  const tools =
    typeof choice === 'object'
      ? all.filter((tool) => tool.function.name === choice.function.name)
      : all;
  // What was said before the model's own last turn has been acted upon.
  const turn = request.messages.findLastIndex((message) => message.role === 'assistant');
  const recent = request.messages
    .slice(turn + 1)
    .map(textOf)
    .reverse();
  for (const text of recent) {
    const instruction = findInstruction(text, tools);
    if (instruction !== undefined) return instruction;
  }
  for (const text of recent) {
    const proposed = findRunbook(text, tools);
    if (proposed !== undefined) return proposed;
  }
  const forced = tools[0];
  if (forced !== undefined && (choice === 'required' || typeof choice === 'object')) {
    return { tool: forced.function.name, arguments: {} };
  }
  return undefined;
}

function toolCall(chosen: Instruction, digest: string) {
  return {
    id: `call_${digest.slice(24, 40)}`,
    type: 'function' as const,
    function: { name: chosen.tool, arguments: JSON.stringify(chosen.arguments) },
  };
}

function answerInWords(request: ChatRequest): string {
  const last: ChatMessage | undefined = request.messages.at(-1);
  if (last?.role === 'tool') return 'The tool has answered; nothing further is needed.';
  return 'No runbook with an offered tool fits; no action is proposed.';
}

function limit(text: string, maxTokens: number | undefined): string {
  if (maxTokens === undefined || countTokens(text) <= maxTokens) return text;
  return Buffer.from(text, 'utf8')
    .subarray(0, maxTokens * 4)
    .toString('utf8');
}
