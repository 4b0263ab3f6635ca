import { readFileSync } from 'node:fs';

/** One span of a run's trace file, as OTLP has it, with its attributes as plain values. */
export interface ExportedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly error: boolean;
  readonly service: string;
  /** `spiffe.id` of the resource. */
  readonly resource: string | undefined;
  readonly attributes: Readonly<Record<string, unknown>>;
}

interface OtlpAttribute {
  readonly key: string;
  readonly value: {
    readonly stringValue?: string;
    readonly intValue?: number | string;
    readonly arrayValue?: { readonly values: readonly { readonly stringValue: string }[] };
  };
}
interface OtlpSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly status: { readonly code: number };
  readonly attributes: readonly OtlpAttribute[];
}
interface OtlpRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

const ERROR = 2;

function plain(attributes: readonly OtlpAttribute[]): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ??
        value.arrayValue?.values.map(({ stringValue }) => stringValue) ??
        Number(value.intValue),
    ]),
  );
}

/** @throws when a line is no export request: the file must be whole at any time. */
export function exportedSpans(file: string): readonly ExportedSpan[] {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.flatMap((line) =>
    (JSON.parse(line) as OtlpRequest).resourceSpans.flatMap(({ resource, scopeSpans }) => {
      const own = plain(resource.attributes);
      return scopeSpans.flatMap(({ spans }) =>
        spans.map((span) => ({
          name: span.name,
          traceId: span.traceId,
          spanId: span.spanId,
          parentSpanId: span.parentSpanId,
          error: span.status.code === ERROR,
          service: String(own['service.name']),
          resource: own['spiffe.id'] as string | undefined,
          attributes: plain(span.attributes),
        })),
      );
    }),
  );
}
