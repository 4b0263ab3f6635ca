import { z } from 'zod';

const textPart = z.object({ type: z.literal('text'), text: z.string() });
const content = z.union([z.string(), z.array(textPart)]);
const toolCall = z.object({
  id: z.string().max(128),
  type: z.literal('function'),
  function: z.object({ name: z.string().max(128), arguments: z.string() }),
});
/** What the service's own callers may name a tool; MCP names contain dots. */
const toolName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);

const message = z.discriminatedUnion('role', [
  z.object({ role: z.literal('system'), content }),
  z.object({ role: z.literal('developer'), content }),
  z.object({ role: z.literal('user'), content, name: z.string().optional() }),
  z.object({
    role: z.literal('assistant'),
    content: content.nullish(),
    tool_calls: z.array(toolCall).max(16).optional(),
  }),
  z.object({ role: z.literal('tool'), content, tool_call_id: z.string() }),
]);

const tool = z.object({
  type: z.literal('function'),
  function: z.object({
    name: toolName,
    description: z.string().optional(),
    parameters: z.record(z.string(), z.unknown()).optional(),
  }),
});

/**
 * The part of OpenAI's chat completion request that this service offers. Members it does not know
 * are dropped, so that nothing policy has not seen goes upstream.
 */
export const chatRequest = z.object({
  model: z.string().min(1).max(128),
  messages: z.array(message).min(1).max(128),
  tools: z.array(tool).max(64).optional(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.object({ type: z.literal('function'), function: z.object({ name: toolName }) }),
    ])
    .optional(),
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().min(0).max(1).optional(),
  seed: z.int().optional(),
  max_tokens: z.int().min(1).max(32_768).optional(),
  n: z.literal(1).optional(),
});
export type ChatRequest = z.infer<typeof chatRequest>;
export type ChatMessage = ChatRequest['messages'][number];
export type ChatTool = z.infer<typeof tool>;

const count = z.int().min(0);
/** A completion as this service answers it, and the strictest reading of what upstream may say. */
export const chatResponse = z.object({
  id: z.string().min(1).max(256),
  object: z.literal('chat.completion'),
  created: z.int().min(0),
  model: z.string().min(1).max(128),
  choices: z
    .array(
      z.object({
        index: z.int().min(0),
        message: z.object({
          role: z.literal('assistant'),
          content: z.string().nullable(),
          tool_calls: z.array(toolCall).max(16).optional(),
        }),
        finish_reason: z.enum(['stop', 'length', 'tool_calls', 'content_filter']),
      }),
    )
    .length(1),
  usage: z.object({ prompt_tokens: count, completion_tokens: count, total_tokens: count }),
});
export type ChatResponse = z.infer<typeof chatResponse>;

export const embeddingsRequest = z.object({
  model: z.string().min(1).max(128),
  input: z.union([z.string().max(16_384), z.array(z.string().max(16_384)).min(1).max(64)]),
});

export const fineTuneRequest = z.object({
  model: z.string().min(1).max(128),
  training_file: z.string().min(1).max(128),
});

/** The text of a message, parts joined; empty for an assistant that only called tools. */
export function textOf(said: ChatMessage): string {
  if (said.content === undefined || said.content === null) return '';
  if (typeof said.content === 'string') return said.content;
  return said.content.map((part) => part.text).join('\n');
}
