import type { Policy } from '#policy/decision.ts';
import { openPolicy } from '#policy/engine.ts';
import type { StartMessage } from '#runtime/process-protocol.ts';

export interface LivePolicy extends Policy {
  /** Takes new rules when they load. @throws Error when they do not; the old ones stay. */
  replace(next: { readonly bundle: string; readonly data: unknown }): Promise<void>;
}

/** The policy of a start message. @throws Error when it carries none or a broken one. */
export async function livePolicy(start: StartMessage): Promise<LivePolicy> {
  if (start.policy === undefined) throw new Error('start message carries no policy');
  const open = (from: { readonly bundle: string; readonly data: unknown }): Promise<Policy> =>
    openPolicy({ bundle: Buffer.from(from.bundle, 'base64'), data: from.data });
  let current = await open(start.policy);
  return {
    get revision() {
      return current.revision;
    },
    decide: (input) => current.decide(input),
    permissions: (id) => current.permissions(id),
    replace: async (next) => {
      current = await open(next);
    },
  };
}
