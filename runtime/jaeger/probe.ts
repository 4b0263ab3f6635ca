import { z } from 'zod';

/** Where one Jaeger is. */
export interface JaegerAddress {
  /** Base URL of UI and API. */
  readonly ui: string;
  /** Where spans are posted, path included. */
  readonly otlp: string;
}

/** What Jaeger's API answers to every question of its kind. */
const answer = z.object({ data: z.array(z.string()).nullable(), errors: z.unknown() });
const MAX_ANSWER_BYTES = 1024 * 1024;

/** The address of a Jaeger with its UI at `base`, and OTLP at the usual port of the same host. */
export function jaegerAt(base: string): JaegerAddress {
  const otlp = new URL('/v1/traces', base);
  otlp.port = '4318';
  return { ui: base.replace(/\/+$/, ''), otlp: otlp.href };
}

/**
 * Is there a Jaeger that answers questions and takes spans? It is given an empty export.
 * @returns why not, in one line; undefined when there is
 */
export async function probeJaeger(
  address: JaegerAddress,
  options: { readonly fetch: typeof fetch; readonly timeoutMs: number },
): Promise<string | undefined> {
  const ask = async (url: string, init?: RequestInit): Promise<Response> =>
    options.fetch(url, {
      ...init,
      redirect: 'error',
      signal: AbortSignal.timeout(options.timeoutMs),
    });
  try {
    const services = await ask(`${address.ui}/api/services`);
    const text = await limited(services);
    if (!services.ok) return `${address.ui} answered ${services.status}`;
    if (!answer.safeParse(JSON.parse(text)).success) return `${address.ui} is no Jaeger`;
  } catch (error) {
    return error instanceof SyntaxError
      ? `${address.ui} is no Jaeger`
      : `nothing answers at ${address.ui}`;
  }
  try {
    const taken = await ask(address.otlp, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"resourceSpans":[]}',
    });
    await taken.body?.cancel();
    return taken.ok ? undefined : `${address.otlp} answered ${taken.status}`;
  } catch {
    return `${address.ui} answers, but nothing takes spans at ${address.otlp}`;
  }
}

/** @throws Error when the answer is longer than any of Jaeger's */
async function limited(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > MAX_ANSWER_BYTES) throw new SyntaxError('too long');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
