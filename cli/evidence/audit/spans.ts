import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** What an audit compares of a span: what its process told about a record. */
export interface AuditSpan {
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly start: number;
  readonly end: number;
  /** Of a refusal, whose record may be nobody's. */
  readonly refused: boolean;
  /** `custody.record.id`, `custody.answer.id`. */
  readonly record: string | undefined;
  readonly answer: string | undefined;
  /** Only on a span that sent or received the record itself. */
  readonly told: {
    readonly digest: string | undefined;
    readonly seq: number | undefined;
    readonly kind: string | undefined;
    readonly subject: string | undefined;
  };
}

const MILLION = 1_000_000n;

/** Spans of an OTLP file, one export request a line; what is none is left out and counted. */
export async function* spansOf(path: string, onBroken: () => void): AsyncGenerator<AuditSpan> {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity });
  for await (const line of lines) {
    let request: unknown;
    try {
      request = JSON.parse(line);
    } catch {
      // The last line may be half written; anything else is told.
      onBroken();
      continue;
    }
    for (const resource of listOf(request, 'resourceSpans')) {
      for (const scope of listOf(resource, 'scopeSpans')) {
        for (const span of listOf(scope, 'spans')) {
          const read = readSpan(span);
          if (read === undefined) onBroken();
          else yield read;
        }
      }
    }
  }
}

function listOf(value: unknown, name: string): readonly unknown[] {
  const list = Object(value)[name];
  return Array.isArray(list) ? list : [];
}

function readSpan(given: unknown): AuditSpan | undefined {
  const { name, startTimeUnixNano, endTimeUnixNano } = Object(given) as Record<string, unknown>;
  const [start, end] = [millis(startTimeUnixNano), millis(endTimeUnixNano)];
  if (typeof name !== 'string' || start === undefined || end === undefined) return undefined;
  const values = new Map<string, unknown>();
  for (const attribute of listOf(given, 'attributes')) {
    const { key, value } = Object(attribute) as Record<string, unknown>;
    if (typeof key === 'string') values.set(key, value);
  }
  const text = (key: string): string | undefined => {
    const value = Object(values.get(key)).stringValue;
    return typeof value === 'string' ? value : undefined;
  };
  const number = (key: string): number | undefined => {
    const value = Object(values.get(key)).intValue;
    return value === undefined ? undefined : Number(value);
  };
  return {
    name,
    start,
    end,
    refused: text('custody.refusal') !== undefined || name.startsWith('refuse '),
    record: text('custody.record.id'),
    answer: text('custody.answer.id'),
    told: {
      digest: text('custody.record.digest'),
      seq: number('custody.record.seq'),
      kind: text('custody.record.kind'),
      subject: text('messaging.destination.name'),
    },
  };
}

function millis(nanos: unknown): number | undefined {
  if (typeof nanos !== 'string' || !/^[0-9]{1,20}$/.test(nanos)) return undefined;
  return Number(BigInt(nanos) / MILLION);
}
