import { type ChatRequest, textOf } from './schema.ts';

/** Four bytes of UTF-8 to a token: near the usual average, and the same on every machine. */
const BYTES_PER_TOKEN = 4;
/** Role and separators of one message. */
const MESSAGE_OVERHEAD = 4;

export function countTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text, 'utf8') / BYTES_PER_TOKEN);
}

/** Tokens of everything the caller sends the model: messages, earlier tool calls, tool schemas. */
export function countPromptTokens(request: ChatRequest): number {
  let total = request.tools === undefined ? 0 : countTokens(JSON.stringify(request.tools));
  for (const message of request.messages) {
    total += MESSAGE_OVERHEAD + countTokens(textOf(message));
    if (message.role === 'assistant' && message.tool_calls !== undefined) {
      total += countTokens(JSON.stringify(message.tool_calls));
    }
  }
  return total;
}
