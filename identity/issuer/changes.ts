/** Wakes streams: all of them, or those of one process. A wake between two waits is not lost. */
export interface Changes {
  /** @param pid wakes the streams of this process only */
  notify(pid?: number): void;
  subscribe(pid: number): Subscription;
}

export interface Subscription {
  /** Resolves at a change, after `milliseconds`, or when the signal aborts; never rejects. */
  next(signal: AbortSignal, milliseconds: number): Promise<void>;
  end(): void;
}

/** The longest that Node's timers can wait. */
const MAX_DELAY = 0x7fffffff;

export function createChanges(): Changes {
  interface Waiter {
    readonly pid: number;
    dirty: boolean;
    wake: () => void;
  }
  const waiters = new Set<Waiter>();
  return {
    notify: (pid) => {
      for (const waiter of waiters) {
        if (pid !== undefined && waiter.pid !== pid) continue;
        waiter.dirty = true;
        waiter.wake();
      }
    },
    subscribe: (pid) => {
      const waiter: Waiter = { pid, dirty: false, wake: () => {} };
      waiters.add(waiter);
      return {
        next: async (signal, milliseconds) => {
          if (!waiter.dirty && !signal.aborted) {
            const { promise, resolve } = Promise.withResolvers<void>();
            const delay = Math.min(Math.max(milliseconds, 0), MAX_DELAY);
            const timer = setTimeout(resolve, delay);
            waiter.wake = resolve;
            const abort = (): void => resolve();
            signal.addEventListener('abort', abort);
            await promise;
            signal.removeEventListener('abort', abort);
            clearTimeout(timer);
          }
          waiter.dirty = false;
        },
        end: () => {
          waiters.delete(waiter);
        },
      };
    },
  };
}
