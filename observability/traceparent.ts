import { type SpanContext, TraceFlags } from '@opentelemetry/api';

export const TRACEPARENT = 'traceparent';

/** W3C Trace Context level 1, section 3.2.2: version 00, lower-case hex, nothing after the flags. */
const FORM = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;
const ZERO = /^0+$/;

/**
 * The context that a message brought, or `undefined`. It is a stranger's word: it joins spans and
 * decides nothing, so its sampling flag is not heeded either; a sender cannot have its messages
 * left out of a trace. Vendors' `tracestate` is not read at all.
 */
export function parseTraceparent(text: string): SpanContext | undefined {
  const [, traceId, spanId] = FORM.exec(text) ?? [];
  if (traceId === undefined || spanId === undefined) return undefined;
  if (ZERO.test(traceId) || ZERO.test(spanId)) return undefined;
  return { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true };
}

export function formatTraceparent({ traceId, spanId }: SpanContext): string {
  return `00-${traceId}-${spanId}-01`;
}
