import { encodeHeaders } from '#custody/headers.ts';
import type { SignedRecord } from '#custody/record.ts';
import type { HeaderPairs } from './nats.ts';

/** Trace context that travels beside a record; it is never evidence. */
export interface Propagate {
  /** Header pairs (`traceparent`) of the current context. */
  inject(): HeaderPairs;
  /** Runs work under the context that a message brought. */
  run<T>(headers: HeaderPairs, work: () => T): T;
}

const TRACE_HEADER = 'traceparent';

/** The one `traceparent` of a message, as text that nobody has looked at; several are none. */
export function traceHeaders(
  headers: Iterable<readonly [string, readonly string[]]> | 'malformed' | undefined,
): HeaderPairs {
  const pairs: [string, string][] = [];
  if (headers === undefined || headers === 'malformed') return pairs;
  for (const [name, values] of headers) {
    if (name === TRACE_HEADER) for (const value of values) pairs.push([name, value]);
  }
  return pairs.length === 1 ? pairs : [];
}

/** Header with which a service says why its door refused; unsigned, so it is only a hint. */
export const REFUSED_HEADER = 'Custody-Refused';

export function recordHeaders(
  record: SignedRecord,
  options: { readonly chain: boolean; readonly trace?: HeaderPairs | undefined },
): HeaderPairs {
  return [...encodeHeaders(record, { chain: options.chain }), ...(options.trace ?? [])];
}

/** Runs work under the context that a message brought, where anybody watches. */
export function underTrace<T>(
  propagate: Propagate | undefined,
  headers: Iterable<readonly [string, readonly string[]]> | 'malformed' | undefined,
  work: () => T,
): T {
  return propagate === undefined ? work() : propagate.run(traceHeaders(headers), work);
}
