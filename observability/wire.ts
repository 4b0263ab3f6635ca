import { type HrTime, type SpanKind, SpanStatusCode } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { type AttributeValue, isAttribute } from './attributes.ts';
import { isEventName, isSpanName } from './names.ts';

type WireAttributes = Readonly<Record<string, AttributeValue>>;

/** A finished span as a process hands it to the supervisor: what a registry names, and no more. */
export interface WireSpan {
  readonly name: string;
  readonly kind: SpanKind;
  /** Trace and span ids: 32 and 16 lower-case hex digits. */
  readonly trace: string;
  readonly span: string;
  readonly parent?: string;
  /** The parent is another process's. */
  readonly remote?: boolean;
  /** Seconds since the epoch, and nanoseconds of the second. */
  readonly start: HrTime;
  readonly end: HrTime;
  readonly error: boolean;
  readonly attributes: WireAttributes;
  readonly events?: readonly {
    readonly name: string;
    readonly time: HrTime;
    readonly attributes: WireAttributes;
  }[];
  readonly links?: readonly {
    readonly trace: string;
    readonly span: string;
    readonly attributes: WireAttributes;
  }[];
}

const MAX_ATTRIBUTES = 48;
const MAX_EVENTS = 16;
export const MAX_LINKS = 32;
const TRACE_ID = /^(?!0{32})[0-9a-f]{32}$/;
const SPAN_ID = /^(?!0{16})[0-9a-f]{16}$/;
const LAST_KIND = 4;

export function toWire(span: ReadableSpan): WireSpan {
  const { traceId, spanId } = span.spanContext();
  const { parentSpanContext: parent, events, links } = span;
  return {
    name: span.name,
    kind: span.kind,
    trace: traceId,
    span: spanId,
    ...(parent !== undefined && { parent: parent.spanId, remote: parent.isRemote === true }),
    start: span.startTime,
    end: span.endTime,
    error: span.status.code === SpanStatusCode.ERROR,
    attributes: span.attributes as WireAttributes,
    ...(events.length > 0 && {
      events: events.map(({ name, time, attributes = {} }) => ({
        name,
        time,
        attributes: attributes as WireAttributes,
      })),
    }),
    ...(links.length > 0 && {
      links: links.map(({ context, attributes = {} }) => ({
        trace: context.traceId,
        span: context.spanId,
        attributes: attributes as WireAttributes,
      })),
    }),
  };
}

/** About how many bytes it takes as JSON; all its text is ASCII. Never less than it takes. */
export function sizeOf(span: WireSpan): number {
  let size = 320 + span.name.length + sizeOfAttributes(span.attributes);
  for (const event of span.events ?? []) size += 120 + sizeOfAttributes(event.attributes);
  for (const link of span.links ?? []) size += 120 + sizeOfAttributes(link.attributes);
  return size;
}

function sizeOfAttributes(attributes: WireAttributes): number {
  let size = 2;
  for (const [name, value] of Object.entries(attributes)) {
    size += name.length + 8;
    if (typeof value === 'string') size += value.length;
    else if (typeof value === 'object') for (const one of value) size += one.length + 3;
    else size += 20;
  }
  return size;
}

/** What a process says is a span, if it is one: closed lists of names, bounded in every direction. */
export function parseWire(given: unknown): WireSpan | undefined {
  if (!isObject(given)) return undefined;
  const { name, kind, trace, span, parent, remote, start, end, error, events, links } = given;
  if (typeof name !== 'string' || !isSpanName(name)) return undefined;
  if (typeof kind !== 'number' || !Number.isInteger(kind) || kind < 0 || kind > LAST_KIND) {
    return undefined;
  }
  if (!matches(trace, TRACE_ID) || !matches(span, SPAN_ID)) return undefined;
  if (parent !== undefined && !matches(parent, SPAN_ID)) return undefined;
  if (!isTime(start) || !isTime(end) || typeof error !== 'boolean') return undefined;
  const own = parseAttributes(given.attributes);
  const parsedEvents = parseList(events, MAX_EVENTS, parseEvent);
  const parsedLinks = parseList(links, MAX_LINKS, parseLink);
  if (own === undefined || parsedEvents === undefined || parsedLinks === undefined) {
    return undefined;
  }
  return {
    name,
    kind,
    trace,
    span,
    ...(parent !== undefined && { parent, remote: remote === true }),
    start,
    end,
    error,
    attributes: own,
    ...(parsedEvents.length > 0 && { events: parsedEvents }),
    ...(parsedLinks.length > 0 && { links: parsedLinks }),
  };
}

function parseEvent(given: unknown) {
  if (!isObject(given) || !isTime(given.time)) return undefined;
  if (typeof given.name !== 'string' || !isEventName(given.name)) return undefined;
  const attributes = parseAttributes(given.attributes);
  return attributes && { name: given.name, time: given.time, attributes };
}

function parseLink(given: unknown) {
  if (!isObject(given)) return undefined;
  const { trace, span } = given;
  if (!matches(trace, TRACE_ID) || !matches(span, SPAN_ID)) return undefined;
  const attributes = parseAttributes(given.attributes);
  return attributes && { trace, span, attributes };
}

function parseList<T>(
  given: unknown,
  most: number,
  parse: (one: unknown) => T | undefined,
): readonly T[] | undefined {
  if (given === undefined) return [];
  if (!Array.isArray(given) || given.length > most) return undefined;
  const parsed = given.map(parse).filter((one) => one !== undefined);
  return parsed.length === given.length ? parsed : undefined;
}

function parseAttributes(given: unknown): WireAttributes | undefined {
  if (!isObject(given)) return undefined;
  const entries = Object.entries(given);
  if (entries.length > MAX_ATTRIBUTES) return undefined;
  return entries.every(([name, value]) => isAttribute(name, value))
    ? (given as WireAttributes)
    : undefined;
}

function isTime(value: unknown): value is HrTime {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [seconds, nanos] = value;
  return (
    Number.isInteger(seconds) &&
    seconds >= 0 &&
    seconds < 2 ** 33 &&
    Number.isInteger(nanos) &&
    nanos >= 0 &&
    nanos < 1e9
  );
}

function matches(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
