import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { RecordCode } from '../codes.ts';
import type { RecordClaims } from '../record.ts';

export interface ReplayCache {
  /** Remembers (iss, jti) until `exp`. Ask only after the signature: else anyone could fill it. */
  admit(claims: RecordClaims): Outcome<void, RecordCode>;
  readonly size: number;
}

export interface ReplayCacheOptions {
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Live records per sender; a sender that exceeds it is refused, and no other one is. */
  readonly maxPerSender?: number;
}

/**
 * Remembers every live record. Forgetting one early would let it be replayed, so that a full
 * cache refuses instead. `exp` bounds the time, the quota per sender bounds the memory.
 */
export function createReplayCache(options: ReplayCacheOptions): ReplayCache {
  const { clock, maxPerSender = 50_000 } = options;
  const senders = new Map<SpiffeId, Set<string>>();
  /** `exp` second → what ends then. Lifetimes are 30 s, so there are few of them. */
  const endings = new Map<number, [SpiffeId, string][]>();
  let size = 0;
  let swept = 0;
  /** The latest second up to which records were forgotten. */
  let furthest = 0;

  function sweep(now: number): void {
    if (now === swept) return;
    swept = now;
    furthest = Math.max(furthest, now);
    for (const [second, ended] of endings) {
      if (second > now) continue;
      for (const [iss, jti] of ended) {
        const seen = senders.get(iss);
        if (seen?.delete(jti)) size -= 1;
        if (seen?.size === 0) senders.delete(iss);
      }
      endings.delete(second);
    }
  }

  return {
    get size() {
      return size;
    },
    admit({ iss, jti, exp }) {
      sweep(Math.floor(clock() / 1000));
      // Only where the clock was set back: what had ended was forgotten, and looks alive again.
      if (exp <= furthest)
        return refuse('RECORD_EXPIRED', 'exp had passed before the clock was set');
      const seen = senders.get(iss) ?? new Set<string>();
      if (seen.has(jti)) return refuse('RECORD_REPLAYED', 'this record was received before');
      if (seen.size >= maxPerSender) {
        return refuse('RECORD_REPLAY_CACHE_FULL', `the sender has ${maxPerSender} live records`);
      }
      seen.add(jti);
      senders.set(iss, seen);
      const ending = endings.get(exp);
      if (ending === undefined) endings.set(exp, [[iss, jti]]);
      else ending.push([iss, jti]);
      size += 1;
      return accept(undefined);
    },
  };
}
