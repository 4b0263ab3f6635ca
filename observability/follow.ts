import type { AsyncLocalStorage } from 'node:async_hooks';
import type { TracingChannel } from 'node:diagnostics_channel';
import {
  type Context,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { attributes, type Values } from './attributes.ts';
import { spanName } from './names.ts';

/** What spans are made with; one per process. */
export interface Workshop {
  readonly tracer: Tracer;
  /** The context of the work at hand. */
  readonly storage: AsyncLocalStorage<Context>;
  /** A subscriber must not throw: on a diagnostics channel that ends the process. */
  readonly guard: (work: () => void) => void;
}

export interface Begun {
  readonly name: string;
  readonly kind: SpanKind;
  readonly values: Values;
  readonly links?: readonly { readonly context: SpanContext; readonly values: Values }[];
  /** More for the work below than the span itself. */
  readonly context?: (context: Context, span: Span) => Context;
}

export interface Ended {
  readonly values?: Values;
  /** A stable code, where the work was refused or failed. */
  readonly error?: string | undefined;
}

/** Makes one span of each piece of work on a channel. Returns the function that stops it. */
export function follow<M extends { readonly error?: unknown }>(
  shop: Workshop,
  channel: TracingChannel<unknown, M>,
  hop: {
    readonly work: 'sync' | 'async';
    readonly begin: (message: M, parent: Context) => Begun;
    readonly end: (message: M) => Ended;
  },
): () => void {
  const open = new WeakMap<M, Span>();

  function begin(message: M): Context {
    const parent = active(shop);
    let context = parent;
    shop.guard(() => {
      const { name, kind, values, links = [], context: more } = hop.begin(message, parent);
      const span = shop.tracer.startSpan(
        spanName(name),
        {
          kind,
          attributes: attributes(values),
          links: links.map((link) => ({
            context: link.context,
            attributes: attributes(link.values),
          })),
        },
        parent,
      );
      open.set(message, span);
      context = trace.setSpan(parent, span);
      if (more !== undefined) context = more(context, span);
    });
    return context;
  }

  function end(message: M): void {
    shop.guard(() => {
      const span = open.get(message);
      if (span === undefined) return;
      open.delete(message);
      const { values = {}, error } = hop.end(message);
      span.setAttributes(attributes(values));
      // What was thrown may quote foreign text: it is a fault of the code, and called so.
      const failed = error ?? (message.error === undefined ? undefined : 'EXCEPTION');
      if (failed !== undefined) markFailed(span, failed);
      span.end();
    });
  }

  const subscribers = {
    // Work that throws at once never settles.
    end: (message: M) => {
      if (hop.work === 'sync' || message.error !== undefined) end(message);
    },
    asyncEnd: end,
  };
  channel.start.bindStore(shop.storage, begin as (message: unknown) => Context);
  channel.end.subscribe(subscribers.end as (message: unknown) => void);
  channel.asyncEnd.subscribe(subscribers.asyncEnd as (message: unknown) => void);
  return () => {
    channel.start.unbindStore(shop.storage);
    channel.end.unsubscribe(subscribers.end as (message: unknown) => void);
    channel.asyncEnd.unsubscribe(subscribers.asyncEnd as (message: unknown) => void);
  };
}

export function active({ storage }: Pick<Workshop, 'storage'>): Context {
  return storage.getStore() ?? ROOT_CONTEXT;
}

/** Status ERROR with a code and no text; the first code stays. */
export function markFailed(span: Span, code: string): void {
  span.setStatus({ code: SpanStatusCode.ERROR });
  span.setAttributes(attributes({ 'error.type': code }));
}
