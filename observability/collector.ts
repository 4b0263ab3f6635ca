import { SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { createQueue } from './queue.ts';
import { createSpanIndex, type FoundSpan, type SpanIndex } from './span-index.ts';
import { parseWire, type WireSpan } from './wire.ts';

/** Where finished spans go. Takes one OTLP export request as JSON; never rejects. */
export interface Sink {
  readonly name: string;
  write(request: Uint8Array, spans: number): Promise<void>;
  close(): Promise<void>;
  /** Spans that it took and could not deliver. */
  lost(): number;
}

/** The process that spans came from, as the supervisor knows it: not as the spans say. */
export interface SpanSource {
  readonly process: string;
  readonly pid: number;
  readonly role: string;
  /** Absent where the process has no identity of its own. */
  readonly spiffeId: string | undefined;
}

export interface CollectorCounts {
  readonly taken: number;
  /** Dropped because a queue was full, here or in a process, or a process sent too many. */
  readonly dropped: number;
  /** No spans, or in the name of another process. */
  readonly refused: number;
  readonly written: number;
  /** Sink → spans that it could not deliver. */
  readonly lost: Readonly<Record<string, number>>;
}

/** Gathers what the swarm's processes tell of their work. */
export interface Collector {
  /** A message of a child over its own channel; foreign input, so nothing in it is trusted. */
  accept(
    source: SpanSource,
    message: { readonly spans: readonly unknown[]; readonly dropped: number },
  ): void;
  counts(): CollectorCounts;
  find: SpanIndex['find'];
  wait: SpanIndex['wait'];
  /** Writes what is there; each sink ends in a time of its own. */
  close(): Promise<void>;
}

const QUEUE_LIMIT = 8192;
const MAX_BATCH = 512;
const EVERY_MS = 250;
/** Spans a process may hand over in a second, and at once. */
const RATE = 5000;
const BURST = 10_000;
/** For a disk that hangs; a collector has a second of its own. */
const CLOSE_MS = 10_000;
/** Lives of processes that are remembered. */
const MAX_LIVES = 1024;
const MAX_SAID = 1e9;
const SCOPE = { name: 'swarmproof' };

interface Item {
  readonly error: boolean;
  readonly wire: WireSpan;
  readonly resource: Resource;
}

/** @param clock milliseconds, monotonic */
export function createCollector(options: {
  readonly namespace: string;
  readonly sinks: readonly Sink[];
  readonly clock: () => number;
}): Collector {
  const queue = createQueue<Item>(QUEUE_LIMIT);
  const index = createSpanIndex();
  const resources = new Map<string, Resource>();
  const droppedBy = new Map<string, number>();
  const buckets = new Map<string, { tokens: number; at: number }>();
  let droppedBefore = 0;
  let taken = 0;
  let refused = 0;
  let flooded = 0;
  let written = 0;
  let writing: Promise<void> | undefined;

  function resourceOf(source: SpanSource, identified: boolean): Resource {
    const key = `${source.process} ${source.pid} ${identified}`;
    const known = resources.get(key);
    if (known !== undefined) return known;
    const made = resourceFromAttributes({
      'service.name': source.role,
      'service.namespace': options.namespace,
      'service.instance.id': `${source.process}-${source.pid}`,
      ...(identified && source.spiffeId !== undefined && { 'spiffe.id': source.spiffeId }),
    });
    // One for each life of each process.
    if (resources.size > MAX_LIVES) resources.clear();
    resources.set(key, made);
    return made;
  }

  /** How many of `wanted` spans a process may hand over now. */
  function allowed(process: string, wanted: number): number {
    const now = options.clock();
    const bucket = buckets.get(process) ?? { tokens: BURST, at: now };
    const tokens = Math.min(BURST, bucket.tokens + ((now - bucket.at) / 1000) * RATE);
    const granted = Math.min(wanted, Math.floor(tokens));
    buckets.set(process, { tokens: tokens - granted, at: now });
    return granted;
  }

  function take(source: SpanSource, given: unknown): void {
    const wire = parseWire(given);
    const says = wire?.attributes['spiffe.id'];
    if (wire === undefined || (says !== undefined && says !== source.spiffeId)) {
      refused += 1;
      return;
    }
    taken += 1;
    index.add(source.process, wire);
    queue.push({ error: wire.error, wire, resource: resourceOf(source, says !== undefined) });
  }

  async function writeAll(): Promise<void> {
    for (;;) {
      let count = 0;
      const items = queue.take(() => {
        count += 1;
        return count <= MAX_BATCH;
      });
      if (items.length === 0) return;
      const request = JsonTraceSerializer.serializeRequest(items.map(readable));
      if (request === undefined) continue;
      written += items.length;
      await Promise.all(options.sinks.map((sink) => sink.write(request, items.length)));
    }
  }

  function pump(): Promise<void> {
    writing ??= writeAll()
      // A sink that throws is a bug; telemetry must not be what ends a swarm.
      .catch(() => undefined)
      .finally(() => {
        writing = undefined;
      });
    return writing;
  }
  const timer = setInterval(() => void pump(), EVERY_MS);
  timer.unref();

  return {
    accept(source, { spans, dropped }) {
      const key = `${source.process} ${source.pid}`;
      // Its own word, so within reason.
      const says = Math.min(Math.max(dropped, droppedBy.get(key) ?? 0), MAX_SAID);
      droppedBy.set(key, says);
      if (droppedBy.size > MAX_LIVES) {
        const [oldest] = droppedBy;
        droppedBy.delete(oldest?.[0] ?? '');
        droppedBefore += oldest?.[1] ?? 0;
      }
      const most = allowed(source.process, spans.length);
      flooded += spans.length - most;
      for (const span of spans.slice(0, most)) take(source, span);
    },
    counts() {
      const lost = Object.fromEntries(options.sinks.map((sink) => [sink.name, sink.lost()]));
      const inProcesses = [...droppedBy.values()].reduce((sum, one) => sum + one, droppedBefore);
      return { taken, dropped: queue.dropped() + flooded + inProcesses, refused, written, lost };
    },
    find: index.find,
    wait: index.wait,
    async close() {
      clearInterval(timer);
      const late = Promise.withResolvers<void>();
      const limit = setTimeout(late.resolve, CLOSE_MS);
      const finish = async (): Promise<void> => {
        await pump();
        await pump();
        await Promise.all(options.sinks.map((sink) => sink.close()));
      };
      await Promise.race([finish(), late.promise]);
      clearTimeout(limit);
      index.close();
    },
  };
}

export type { FoundSpan };

/** A span of another process in the form that the SDK's own serialiser takes. */
function readable({ wire, resource }: Item): ReadableSpan {
  const context = (spanId: string, isRemote = false) => ({
    traceId: wire.trace,
    spanId,
    traceFlags: TraceFlags.SAMPLED,
    isRemote,
  });
  const plain = (values: WireSpan['attributes']) => values as ReadableSpan['attributes'];
  return {
    name: wire.name,
    kind: wire.kind,
    spanContext: () => context(wire.span),
    ...(wire.parent !== undefined && {
      parentSpanContext: context(wire.parent, wire.remote === true),
    }),
    startTime: wire.start,
    endTime: wire.end,
    duration: [0, 0],
    ended: true,
    status: { code: wire.error ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    attributes: plain(wire.attributes),
    events: (wire.events ?? []).map(({ name, time, attributes }) => ({
      name,
      time,
      attributes: plain(attributes),
    })),
    links: (wire.links ?? []).map(({ trace, span, attributes }) => ({
      context: { traceId: trace, spanId: span, traceFlags: TraceFlags.SAMPLED },
      attributes: plain(attributes),
    })),
    resource,
    instrumentationScope: SCOPE,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}
