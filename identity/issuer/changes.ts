import { type RegistrationEntry, type Selector, selectorText } from './entry.ts';

/** Wakes streams: those that a change concerns. A wake between two waits is not lost. */
export interface Changes {
  /** At once. @param pid wakes the streams of this process only */
  notify(pid?: number): void;
  /**
   * At once, the streams of processes that may have all selectors of one of these entries, by what was
   * found of them last. Whatever else a process has become is seen when its streams are looked at
   * again anyway.
   */
  notifyFor(entries: readonly RegistrationEntry[]): void;
  /**
   * All streams, spread over a time that grows with their number: when everybody's SVID is
   * renewed at once, everybody's program reloads at once.
   */
  notifySpread(): void;
  subscribe(pid: number): Subscription;
}

export interface Subscription {
  /** What the process of this subscription was found to have. */
  found(have: readonly Selector[]): void;
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
  dirty: boolean;
  ended: boolean;
  wake: () => void;
  later?: NodeJS.Timeout;
}

interface Process {
  readonly waiters: Set<Waiter>;
  /** One selector a line, line feeds around each; absent while one of its streams was not answered. */
  have?: string;
}

const line = (selector: Selector): string => `\n${selectorText(selector)}\n`;

/**
 * @param random from 0 to 1; where in the spread a stream is woken
 * @param unsought whether selectors of this kind are looked for only while some entry has one: that a
 * process was found without one says nothing
 */
export function createChanges(
  random: () => number = Math.random,
  unsought: (selector: Selector) => boolean = () => false,
): Changes {
  const processes = new Map<number, Process>();
  const wake = (waiter: Waiter): void => {
    waiter.dirty = true;
    waiter.wake();
  };
  const wakeAll = ({ waiters }: Process): void => waiters.forEach(wake);
  const concerns = ({ have }: Process, { selectors }: RegistrationEntry): boolean =>
    have === undefined || selectors.every((one) => unsought(one) || have.includes(line(one)));

  return {
    notify: (pid) => {
      if (pid === undefined) processes.forEach(wakeAll);
      else for (const waiter of processes.get(pid)?.waiters ?? []) wake(waiter);
    },
    notifyFor: (entries) => {
      for (const process of processes.values()) {
        if (entries.some((entry) => concerns(process, entry))) wakeAll(process);
      }
    },
    notifySpread: () => {
      let streams = 0;
      for (const { waiters } of processes.values()) streams += waiters.size;
      const spread = Math.min(Math.max(streams - FEW, 0) * PER_STREAM_MS, MAX_SPREAD_MS);
      if (spread === 0) return processes.forEach(wakeAll);
      for (const { waiters } of processes.values()) {
        for (const waiter of waiters) {
          waiter.later ??= setTimeout(() => {
            delete waiter.later;
            wake(waiter);
          }, random() * spread);
        }
      }
    },
    subscribe: (pid) => {
      const waiter: Waiter = { dirty: false, ended: false, wake: () => {} };
      const process: Process = processes.get(pid) ?? { waiters: new Set() };
      processes.set(pid, process);
      process.waiters.add(waiter);
      // Whoever asks now may be another process than the one of which something was found.
      delete process.have;
      return {
        found: (have) => {
          process.have = have.map(line).join('');
        },
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
          process.waiters.delete(waiter);
          if (process.waiters.size === 0 && processes.get(pid) === process) processes.delete(pid);
          clearTimeout(waiter.later);
          waiter.ended = true;
          waiter.wake();
        },
      };
    },
  };
}
