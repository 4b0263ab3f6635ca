import { encodeHeaders } from '#custody/headers.ts';
import type { SignedRecord } from '#custody/record.ts';
import type { HeaderPairs } from './nats.ts';

/** Trace context that travels beside a record; it is never evidence. */
export interface Propagate {
  /** Header pairs (`traceparent`, `tracestate`) of the current context. */
  inject(): HeaderPairs;
  /** Runs work under the context that a message brought. */
  run<T>(headers: HeaderPairs, work: () => T): T;
}

const TRACE_HEADERS: ReadonlySet<string> = new Set(['traceparent', 'tracestate']);

export function traceHeaders(
  headers: Iterable<readonly [string, readonly string[]]> | 'malformed' | undefined,
): HeaderPairs {
  const pairs: [string, string][] = [];
  if (headers === undefined || headers === 'malformed') return pairs;
  for (const [name, values] of headers) {
    const [value] = values;
    if (TRACE_HEADERS.has(name) && value !== undefined) pairs.push([name, value]);
  }
  return pairs;
}

/** Header with which a service says why its door refused; unsigned, so it is only a hint. */
export const REFUSED_HEADER = 'Custody-Refused';

export function recordHeaders(
  record: SignedRecord,
  options: { readonly chain: boolean; readonly propagate?: Propagate | undefined },
): HeaderPairs {
  return [
    ...encodeHeaders(record, { chain: options.chain }),
    ...(options.propagate?.inject() ?? []),
  ];
}
