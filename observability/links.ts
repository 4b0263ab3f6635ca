/** What a link into Jaeger's UI shows. */
export interface TracePlace {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits; the span that is opened and marked. */
  readonly spanId?: string;
}

export interface SearchPlace {
  readonly service: string;
  /** Tags that a span must have, each with exactly this value. */
  readonly tags: Readonly<Record<string, string>>;
  /** How far back; the UI's own words, default the last hour. */
  readonly lookback?: string;
}

const TRACE_ID = /^[0-9a-f]{32}$/;
const SPAN_ID = /^[0-9a-f]{16}$/;

/** The base as a folder, so that a UI behind a prefix keeps it; what follows the path is dropped. */
function below(base: string, path: string): URL {
  const url = new URL(base);
  url.search = '';
  url.hash = '';
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${path}`;
  return url;
}

/**
 * `…/trace/{traceId}?uiFind={spanId}`: the trace, opened at the span.
 * @throws Error on an id that is none: ids come from our own spans, parsed before.
 */
export function traceLink(base: string, { traceId, spanId }: TracePlace): string {
  if (!TRACE_ID.test(traceId)) throw new Error('no trace id');
  const url = below(base, `trace/${traceId}`);
  if (spanId !== undefined) {
    if (!SPAN_ID.test(spanId)) throw new Error('no span id');
    url.searchParams.set('uiFind', spanId);
  }
  return url.href;
}

/** `…/search?service=…&tags={"spiffe.id":"…"}`: the traces of a service that have such a span. */
export function searchLink(base: string, { service, tags, lookback = '1h' }: SearchPlace): string {
  const url = below(base, 'search');
  url.searchParams.set('service', service);
  url.searchParams.set('tags', JSON.stringify(tags));
  url.searchParams.set('lookback', lookback);
  return url.href;
}
