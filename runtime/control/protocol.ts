import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';

/** Requests are small; answers may carry a ledger's page. */
export const MAX_REQUEST_BYTES = 64 * 1024;
export const MAX_REPLY_BYTES = 8 * 1024 * 1024;

const request = z.strictObject({
  token: z.string().max(128),
  verb: z.string().regex(/^[a-z][a-z0-9 -]{0,63}$/),
  args: z.record(z.string(), z.unknown()).default({}),
});
export type ControlRequest = z.output<typeof request>;

/** `part` lines of a streaming verb, then exactly one `end` or `error`. */
const reply = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('part'), value: z.unknown() }),
  z.strictObject({ type: z.literal('end'), value: z.unknown().optional() }),
  z.strictObject({ type: z.literal('error'), code: z.string(), detail: z.string() }),
]);
export type ControlReply = z.output<typeof reply>;

function parsed<T>(schema: z.ZodType<T>, line: string): Outcome<T, 'CONTROL_MESSAGE_INVALID'> {
  try {
    const result = schema.safeParse(JSON.parse(line));
    if (result.success) return accept(result.data);
  } catch {
    // Not JSON: the same refusal.
  }
  return refuse('CONTROL_MESSAGE_INVALID', 'a control message is one JSON object on one line');
}

export const parseRequest = (line: string) => parsed(request, line);
export const parseReply = (line: string) => parsed(reply, line);

/** Compares digests, so that neither content nor length of the token shows in the time it takes. */
export function sameToken(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
