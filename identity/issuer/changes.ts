/** Wakes streams: all of them, or those of one process. A wake between two waits is not lost. */
export interface Changes {
  /** At once. @param pid wakes the streams of this process only */
  notify(pid?: number): void;
  /**
   * All streams, spread over a time that grows with their number: when everybody's SVID is
   * renewed at once, everybody's program reloads at once.
   */
  notifySpread(): void;
  subscribe(pid: number): Subscription;
}

export interface Subscription {
  /** Resolves at a change, after `milliseconds`, or at the end of the subscription; never rejects. */
  next(milliseconds: number): Promise<void>;
  /** Wakes whoever waits. */
  end(): void;
}

/** The longest that Node's timers can wait. */
const MAX_DELAY = 0x7fffffff;
/** So few streams need no spreading. */
const FEW = 32;
const PER_STREAM_MS = 2;
const MAX_SPREAD_MS = 5000;

interface Waiter {
  readonly pid: number;
  dirty: boolean;
  ended: boolean;
  wake: () => void;
  later?: NodeJS.Timeout;
}

/** @param random from 0 to 1; where in the spread a stream is woken */
export function createChanges(random: () => number = Math.random): Changes {
  const waiters = new Set<Waiter>();
  const wake = (waiter: Waiter): void => {
    waiter.dirty = true;
    waiter.wake();
  };
  return {
    notify: (pid) => {
      for (const waiter of waiters) {
        if (pid === undefined || waiter.pid === pid) wake(waiter);
      }
    },
    notifySpread: () => {
      const spread = Math.min(Math.max(waiters.size - FEW, 0) * PER_STREAM_MS, MAX_SPREAD_MS);
      for (const waiter of waiters) {
        if (spread === 0) wake(waiter);
        else
          waiter.later ??= setTimeout(() => {
            delete waiter.later;
            wake(waiter);
          }, random() * spread);
      }
    },
    subscribe: (pid) => {
      const waiter: Waiter = { pid, dirty: false, ended: false, wake: () => {} };
      waiters.add(waiter);
      return {
        next: async (milliseconds) => {
          if (!waiter.dirty && !waiter.ended) {
            const { promise, resolve } = Promise.withResolvers<void>();
            const delay = Math.min(Math.max(milliseconds, 0), MAX_DELAY);
            const timer = setTimeout(resolve, delay);
            waiter.wake = resolve;
            await promise;
            clearTimeout(timer);
          }
          waiter.dirty = false;
        },
        end: () => {
          waiters.delete(waiter);
          clearTimeout(waiter.later);
          waiter.ended = true;
          waiter.wake();
        },
      };
    },
  };
}
