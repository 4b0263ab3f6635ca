import { readFileSync } from 'node:fs';
import type { WireSpan } from '#observability/wire.ts';

export const ANALYZER = 'spiffe://city.example/agent/analyzer/north/analyzer-1';
export const SENSOR = 'spiffe://city.example/agent/sensor/north/cam-1';

export function recordId(letter: string): string {
  return letter.repeat(43);
}

/** A span as a process says it; each has its own id. */
export function wireSpan(index: number, more: Partial<WireSpan> = {}): WireSpan {
  return {
    name: 'process {district}.reading.{sender}',
    kind: 4,
    trace: 'a'.repeat(32),
    span: (index + 1).toString(16).padStart(16, '0'),
    parent: 'b'.repeat(16),
    remote: true,
    start: [1_800_000_000, 1],
    end: [1_800_000_000, 2_000_001],
    error: false,
    attributes: {
      'spiffe.id': ANALYZER,
      'peer.spiffe.id': SENSOR,
      'custody.record.id': recordId('r'),
    },
    ...more,
  };
}

export interface Exported {
  readonly name: string;
  readonly traceId: string;
  readonly resource: Readonly<Record<string, unknown>>;
}

/** Spans of a file, read line by line as OTLP export requests. */
export function exported(path: string): Exported[] {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  return lines.flatMap((line) =>
    JSON.parse(line).resourceSpans.flatMap(
      (one: {
        resource: { attributes: { key: string; value: { stringValue: string } }[] };
        scopeSpans: { spans: { name: string; traceId: string }[] }[];
      }) => {
        const resource = Object.fromEntries(
          one.resource.attributes.map(({ key, value }) => [key, value.stringValue]),
        );
        return one.scopeSpans.flatMap(({ spans }) =>
          spans.map(({ name, traceId }) => ({ name, traceId, resource })),
        );
      },
    ),
  );
}
