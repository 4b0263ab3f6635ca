import { setTimeout as pause } from 'node:timers/promises';
import { type Refused, refuse } from '#identity/outcome.ts';
import type { AgentEvent } from './roles/role.ts';

/** The parts of a refusal that a role is told. */
export function why({ code, detail }: { readonly code: string; readonly detail: string }) {
  return { code, detail };
}

/** A rejection (no such service, no identity now) is one more refusal for a role. */
export async function guarded<T>(ask: () => Promise<T>): Promise<T | Refused> {
  try {
    return await ask();
  } catch (error) {
    return refuse('CALL_FAILED', messageOf(error));
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error';
}

/** What came of asking, or CALL_TIMEOUT when nothing did in time. */
export async function within(
  timeoutMs: number,
  ref: string,
  ask: () => Promise<AgentEvent>,
): Promise<AgentEvent> {
  const answered = new AbortController();
  const late = pause(timeoutMs, undefined, { signal: answered.signal }).then(
    (): AgentEvent => ({
      kind: 'failure',
      ref,
      code: 'CALL_TIMEOUT',
      detail: `no answer within ${timeoutMs} ms`,
    }),
    // Aborted: the answer has won the race below.
    () => new Promise<never>(() => {}),
  );
  const event = await Promise.race([ask(), late]);
  answered.abort();
  return event;
}
