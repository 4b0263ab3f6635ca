import { createQueue } from './queue.ts';
import { sizeOf, type WireSpan } from './wire.ts';

/** One message of a process to the supervisor. */
export interface SpanMessage {
  readonly type: 'spans';
  readonly spans: readonly WireSpan[];
  /** How many of this process were dropped since it began. */
  readonly dropped: number;
}

/** Waits between a process's spans and the channel to the supervisor. */
export interface Outbox {
  add(span: WireSpan): void;
  flush(timeoutMs: number): Promise<void>;
  close(): void;
}

const QUEUE_LIMIT = 4096;
/** The launcher takes lines of 256 KiB, and ends who sends longer ones. */
const MAX_BYTES = 96 * 1024;
const MAX_SPANS = 256;
const EVERY_MS = 200;

/**
 * One message is under way at a time, and the next goes when the channel has taken it: a supervisor
 * that does not read costs spans, never memory.
 */
export function createOutbox(send: (message: SpanMessage, written: () => void) => boolean): Outbox {
  const queue = createQueue<WireSpan>(QUEUE_LIMIT);
  let underWay = false;
  let told = 0;
  let waiting: (() => void)[] = [];

  /** Telemetry is not what ends a process, whatever its channel does. */
  function handOver(message: SpanMessage, written: () => void): boolean {
    try {
      return send(message, written);
    } catch {
      return false;
    }
  }

  function idle(): boolean {
    return !underWay && queue.size() === 0 && queue.dropped() === told;
  }

  function pump(): void {
    if (underWay) return;
    if (idle()) {
      for (const resolve of waiting.splice(0)) resolve();
      return;
    }
    let bytes = 0;
    let count = 0;
    const spans = queue.take((span) => {
      bytes += sizeOf(span);
      count += 1;
      return count === 1 || (bytes <= MAX_BYTES && count <= MAX_SPANS);
    });
    const dropped = queue.dropped();
    underWay = true;
    const written = (): void => {
      if (!underWay) return;
      underWay = false;
      // More than a message's worth, or somebody waits: at once; else with the next tick.
      if (waiting.length > 0 || queue.size() >= MAX_SPANS) pump();
    };
    told = dropped;
    if (!handOver({ type: 'spans', spans, dropped }, written)) {
      // Nobody is there to take them any more.
      underWay = false;
      for (const resolve of waiting.splice(0)) resolve();
    }
  }

  const timer = setInterval(pump, EVERY_MS);
  timer.unref();

  return {
    add(span) {
      queue.push(span);
      if (queue.size() >= MAX_SPANS) pump();
    },
    async flush(timeoutMs) {
      const done = Promise.withResolvers<void>();
      waiting.push(done.resolve);
      const late = setTimeout(done.resolve, timeoutMs);
      pump();
      await done.promise;
      clearTimeout(late);
      waiting = waiting.filter((resolve) => resolve !== done.resolve);
    },
    close: () => clearInterval(timer),
  };
}
