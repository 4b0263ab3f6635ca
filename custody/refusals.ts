import { plainRefusal, type RefusalPayload } from './ack.ts';

export interface RefusalTally {
  add(refusal: Omit<RefusalPayload, 'type' | 'count'>): void;
  /** Takes out what is due: all of seconds that are over, or everything with `all`. */
  take(options?: { readonly all: boolean }): readonly RefusalPayload[];
}

/**
 * Gathers refusals per (presenter, signer, code) and second, so that a flood of bad messages
 * becomes one entry a second. Presenters are pinned by the broker and signers are verified, so
 * that a stranger cannot multiply the keys.
 */
export function createRefusalTally(options: { readonly clock: () => number }): RefusalTally {
  const { clock } = options;
  const open = new Map<string, { readonly second: number; readonly refusal: RefusalPayload }>();
  let due: RefusalPayload[] = [];
  const now = () => Math.floor(clock() / 1000);

  function close(before: number): void {
    for (const [key, { second, refusal }] of open) {
      if (second >= before) continue;
      open.delete(key);
      due.push(refusal);
    }
  }

  return {
    add(given) {
      const refusal = plainRefusal(given);
      const second = now();
      const key = `${refusal.presented_by} ${refusal.signed_by ?? ''} ${refusal.code}`;
      const held = open.get(key);
      if (held !== undefined && held.second === second) {
        const count = held.refusal.count + 1;
        open.set(key, { second, refusal: { ...held.refusal, count } });
        return;
      }
      if (held !== undefined) due.push(held.refusal);
      open.set(key, { second, refusal: { type: 'refusal', ...refusal, count: 1 } });
    },
    take({ all } = { all: false }) {
      close(all ? Number.POSITIVE_INFINITY : now());
      const taken = due;
      due = [];
      return taken;
    },
  };
}
