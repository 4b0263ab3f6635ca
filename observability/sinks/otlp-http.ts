import type { Sink } from '../collector.ts';

export interface OtlpOptions {
  /** Where requests are posted, path included: `http://127.0.0.1:4318/v1/traces`. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** For one request from its first byte to the answer's last; default 1 s. */
  readonly timeoutMs?: number;
  readonly fetch: typeof fetch;
  /** One line, the first time that a request fails, and again after it had worked. */
  readonly onTrouble: (line: string) => void;
}

const TIMEOUT_MS = 1000;
/** Waiting requests; what comes above is dropped. A request has at most 512 spans. */
const MAX_WAITING = 16;
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/**
 * OTLP/HTTP with JSON. Whatever a collector does (nothing, an error, silence, one byte a second),
 * a request ends with its time, and nobody waits for it: neither the file nor the swarm.
 */
export function createOtlpSink(options: OtlpOptions): Sink {
  const { url, headers = {}, timeoutMs = TIMEOUT_MS } = options;
  const waiting: { readonly request: Uint8Array; readonly spans: number }[] = [];
  const closing = new AbortController();
  let bytes = 0;
  let lost = 0;
  let failing = false;
  let running: Promise<void> | undefined;

  async function post(request: Uint8Array): Promise<string | undefined> {
    try {
      const response = await options.fetch(url, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: new Uint8Array(request),
        redirect: 'error',
        signal: AbortSignal.any([closing.signal, AbortSignal.timeout(timeoutMs)]),
      });
      // Not read: a collector's answer is nothing that this side needs.
      await response.body?.cancel();
      return response.ok ? undefined : `status ${response.status}`;
    } catch (error) {
      return error instanceof Error && error.name === 'TimeoutError'
        ? 'no answer'
        : 'no connection';
    }
  }

  async function run(): Promise<void> {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      bytes -= next.request.length;
      const trouble = await post(next.request);
      if (trouble !== undefined) {
        lost += next.spans;
        if (!failing) options.onTrouble(`the trace collector does not take spans: ${trouble}`);
      }
      failing = trouble !== undefined;
    }
  }

  return {
    name: 'otlp',
    async write(request, spans) {
      if (waiting.length >= MAX_WAITING || bytes + request.length > MAX_WAITING_BYTES) {
        lost += spans;
        return;
      }
      waiting.push({ request, spans });
      bytes += request.length;
      running ??= run().finally(() => {
        running = undefined;
      });
    },
    /** One that works is given what waits; one that does not is left at once. */
    async close() {
      if (failing) closing.abort();
      const late = setTimeout(() => closing.abort(), Math.min(timeoutMs, TIMEOUT_MS));
      await running;
      clearTimeout(late);
    },
    lost: () => lost,
  };
}
