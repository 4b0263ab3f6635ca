import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { refuseRequest } from './door.ts';

/** Parses a body by its schema; when it does not fit, the 400 is sent and `undefined` comes back. */
export function parseBody<S extends z.ZodType>(
  schema: S,
  body: unknown,
  reply: FastifyReply,
): z.output<S> | undefined {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  // Names the place and the rule; a value could be a prompt.
  const place = issue === undefined || issue.path.length === 0 ? 'body' : issue.path.join('.');
  refuseRequest(reply, 400, 'BODY_INVALID', `${place}: ${issue?.message ?? 'invalid'}`);
  return undefined;
}
