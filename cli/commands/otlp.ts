import { UserError } from '../output.ts';
import type { OtlpTarget } from '../wiring/traces.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_TIMEOUT_MS = 1000;
/** Longer ones would only hold spans in memory. */
const MAX_TIMEOUT_MS = 10_000;

/**
 * The collector that the environment names, by OpenTelemetry's own variables
 * (`OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT`, `…_HEADERS`, `…_TIMEOUT`; the one for traces goes first).
 * @throws UserError naming the variable; a value is never repeated, for it may hold a key.
 */
export function otlpFrom(env: Environment): OtlpTarget | undefined {
  const url = endpointOf(env);
  if (url === undefined) return undefined;
  const headers = settingOf(env, 'HEADERS');
  const timeout = settingOf(env, 'TIMEOUT');
  return {
    url,
    ...(headers !== undefined && { headers: headersOf(headers) }),
    timeoutMs: timeout === undefined ? DEFAULT_TIMEOUT_MS : millisecondsOf(timeout),
  };
}

function settingOf(env: Environment, name: string): string | undefined {
  return env[`OTEL_EXPORTER_OTLP_TRACES_${name}`] || env[`OTEL_EXPORTER_OTLP_${name}`] || undefined;
}

/** The one for traces is taken as it is; to the common one the signal's path is added. */
function endpointOf(env: Environment): string | undefined {
  const own = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || undefined;
  if (own !== undefined) return checked(own, 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT').href;
  const base = env.OTEL_EXPORTER_OTLP_ENDPOINT || undefined;
  if (base === undefined) return undefined;
  const url = checked(base, 'OTEL_EXPORTER_OTLP_ENDPOINT');
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/traces`;
  return url.href;
}

function checked(text: string, name: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UserError(`${name} is no http or https URL, such as http://127.0.0.1:4318`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new UserError(`${name} holds a password; put it into OTEL_EXPORTER_OTLP_HEADERS`);
  }
  return url;
}

/** `name=value,name=value`, values percent-encoded (W3C Baggage without properties). */
function headersOf(text: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const pair of text.split(',')) {
    if (pair.trim() === '') continue;
    const [, name, value] = /^\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
    const decoded = value === undefined ? undefined : decode(value);
    if (name === undefined || decoded === undefined || !/^[\x20-\x7e]*$/.test(decoded)) {
      throw new UserError('OTEL_EXPORTER_OTLP_HEADERS is no list of name=value,name=value');
    }
    headers[name] = decoded;
  }
  return headers;
}

function decode(value: string): string | undefined {
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}

function millisecondsOf(text: string): number {
  const ms = Number(text);
  if (!Number.isInteger(ms) || ms < 1 || ms > MAX_TIMEOUT_MS) {
    throw new UserError(
      `OTEL_EXPORTER_OTLP_TIMEOUT is no number of milliseconds up to ${MAX_TIMEOUT_MS}`,
    );
  }
  return ms;
}
