import { AsyncLocalStorage } from 'node:async_hooks';
import { type Context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { emptyResource } from '@opentelemetry/resources';
import { AlwaysOnSampler, type SpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Propagate } from '#bus/client/envelope.ts';
import { busSpans } from './bus-spans.ts';
import { active, type Workshop } from './follow.ts';
import { noteSpans } from './notes.ts';
import { createOutbox, type SpanMessage } from './outbox.ts';
import { serviceSpans } from './service-spans.ts';
import { formatTraceparent, parseTraceparent, TRACEPARENT } from './traceparent.ts';
import { MAX_LINKS, toWire } from './wire.ts';

export interface TelemetryOptions {
  /** The process as the swarm calls it: its token, and its role. */
  readonly id: string;
  readonly role: string;
  /** Hands one message to the supervisor and calls back when it is written. False: not now. */
  readonly send: (message: SpanMessage, written: () => void) => boolean;
}

/** What one process tells of its own work, as spans. */
export interface Telemetry {
  /** For the bus client: trace context into messages, and out of them. */
  readonly propagate: Propagate;
  /** Hands over what is finished; resolves when it is written or `timeoutMs` have passed. */
  flush(timeoutMs: number): Promise<void>;
  close(): void;
  /** Failures of this very part: they change nothing else, so they are only counted. */
  faults(): number;
}

const SCOPE = 'swarmproof';
/** Attributes are bounded by the registry already; this bounds a mistake. */
const LIMITS = { attributeCountLimit: 48, eventCountLimit: 16, linkCountLimit: MAX_LINKS };

/**
 * Makes spans of what the layers publish in this process, and hands them to the supervisor. The
 * tracing SDK without a global provider, exporters, detectors or environment: the context is kept
 * in one AsyncLocalStorage that the diagnostics channels fill. Who is not told to sample, samples:
 * all spans are kept, whatever the sender of a message says.
 */
export function startTelemetry(options: TelemetryOptions): Telemetry {
  const storage = new AsyncLocalStorage<Context>();
  const outbox = createOutbox(options.send);
  let faults = 0;
  const guard = (work: () => void): void => {
    try {
      work();
    } catch {
      faults += 1;
    }
  };
  const processor: SpanProcessor = {
    onStart: () => {},
    onEnd: (span) => guard(() => outbox.add(toWire(span))),
    forceFlush: async () => {},
    shutdown: async () => {},
  };
  const provider = new TracerProvider({
    sampler: new AlwaysOnSampler(),
    resource: emptyResource(),
    spanLimits: LIMITS,
    spanProcessors: [processor],
  });
  const shop: Workshop = { tracer: provider.getTracer(SCOPE), storage, guard };
  const stops = [...busSpans(shop, options), ...serviceSpans(shop), ...noteSpans(shop)];

  return {
    propagate: {
      inject() {
        const span = trace.getSpanContext(active(shop));
        return span === undefined ? [] : [[TRACEPARENT, formatTraceparent(span)]];
      },
      run(headers, work) {
        const [header] = headers;
        const remote = header === undefined ? undefined : parseTraceparent(header[1]);
        const context =
          remote === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, remote);
        return storage.run(context, work);
      },
    },
    flush: (timeoutMs) => outbox.flush(timeoutMs),
    close() {
      for (const stop of stops.splice(0)) stop();
      outbox.close();
    },
    faults: () => faults,
  };
}
