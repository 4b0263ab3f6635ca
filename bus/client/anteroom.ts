import type { Door } from '../door.ts';
import { presentedBy } from '../subjects.ts';
import type { BusLink } from './link.ts';
import type { Incoming } from './nats.ts';

/** Longer than a statement takes from the issuer by the ledger to here, also on a busy machine. */
const PATIENCE_MS = 2000;
/** Of one sender on one subscription; more are not waited for. */
const MAX_PER_SENDER = 256;
/** Of all of them: a bound on memory, whatever subjects a broker makes up. */
const MAX_WAITING = 4096;

export interface AnteroomOptions {
  readonly awaits: Door['awaits'];
  /** Calls back after a statement about that certificate came. Returns what stops it. */
  readonly watch: (thumbprint: string, listener: () => void) => () => void;
  /** Milliseconds, of any start: how long a message waits at most. */
  readonly now: () => number;
  readonly patienceMs?: number;
}

export interface Anteroom {
  /** What a subscription calls instead of `on`, which gets each message once, now or later. */
  before(on: (message: Incoming) => void): (message: Incoming) => void;
  /** Resolves when nobody waits. */
  empty(): Promise<void>;
  /** Lets everybody through, also who comes later. */
  close(): void;
}

interface Waiting {
  readonly message: Incoming;
  readonly until: number;
}

/** The messages of one sender on one subscription, oldest first. */
interface Line {
  readonly on: (message: Incoming) => void;
  /** It waits for nobody any more. */
  readonly gone: () => void;
  waiting: Waiting[];
  /** Ends what it is waiting for. */
  stop: () => void;
}

/**
 * Where a message waits whose certificate is not stated as issued yet, for a bounded time: the
 * statement may be on its way. Behind it wait the later messages of the same sender, by the name that
 * the broker pinned, so that its order is kept; and nobody else's, so that who sends under
 * certificates that never will be stated holds up itself alone.
 */
export function createAnteroom(options: AnteroomOptions): Anteroom {
  const { awaits, watch, now, patienceMs = PATIENCE_MS } = options;
  const lines = new Set<Line>();
  let count = 0;
  let closed = false;
  let emptied: (() => void)[] = [];

  /** Lets through what need not wait, and stays with the first that must. */
  function advance(line: Line): void {
    line.stop();
    line.stop = () => {};
    for (;;) {
      const [first] = line.waiting;
      if (first === undefined) break;
      const left = first.until - now();
      const thumbprint = left > 0 ? awaits(first.message) : undefined;
      if (thumbprint !== undefined) {
        const again = () => advance(line);
        const timer = setTimeout(again, left);
        const unwatch = watch(thumbprint, again);
        line.stop = () => {
          clearTimeout(timer);
          unwatch();
        };
        return;
      }
      line.waiting.shift();
      count -= 1;
      line.on(first.message);
    }
    lines.delete(line);
    line.gone();
    if (lines.size > 0) return;
    for (const resolve of emptied) resolve();
    emptied = [];
  }

  function release(line: Line): void {
    line.waiting = line.waiting.map(({ message }) => ({ message, until: 0 }));
    advance(line);
  }

  return {
    before(on) {
      const bySender = new Map<string, Line>();
      return (message) => {
        const sender = presentedBy(message.subject) ?? '';
        const line = bySender.get(sender);
        const waiting = { message, until: now() + patienceMs };
        if (line !== undefined) {
          line.waiting.push(waiting);
          count += 1;
          if (line.waiting.length > MAX_PER_SENDER || count > MAX_WAITING) release(line);
        } else if (closed || count >= MAX_WAITING || awaits(message) === undefined) on(message);
        else {
          const gone = () => bySender.delete(sender);
          const made: Line = { on, gone, waiting: [waiting], stop: () => {} };
          count += 1;
          bySender.set(sender, made);
          lines.add(made);
          advance(made);
        }
      };
    },
    empty: () =>
      lines.size === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            emptied.push(resolve);
          }),
    close() {
      closed = true;
      for (const line of [...lines]) release(line);
    },
  };
}

/** A link whose messages come by the anteroom; `flush` waits for those who wait there, too. */
export function throughAnteroom(link: BusLink, room: Anteroom): BusLink {
  return {
    ...link,
    subscribe: (subject, queue, on) => link.subscribe(subject, queue, room.before(on)),
    flush: async () => {
      await link.flush();
      await room.empty();
    },
  };
}
