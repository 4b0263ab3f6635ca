import { isIP } from 'node:net';
import type { EndpointCode } from '../codes.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';

export type Endpoint =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

const UNIX = /^unix:\/\/(\/[^?#]*)$/;
const TCP = /^tcp:\/\/(\[[0-9a-fA-F:.]+\]|[0-9.]+):(\d{1,5})$/;

/**
 * Reads the value of `SPIFFE_ENDPOINT_SOCKET` (Workload Endpoint, section 4): `unix:///abs/path` or
 * `tcp://IP:port`. A plain absolute path is taken as a Unix socket too.
 */
export function parseEndpoint(text: string): Outcome<Endpoint, EndpointCode> {
  const path = text.startsWith('/') ? text : UNIX.exec(text)?.[1];
  if (path !== undefined && !path.includes('\0')) return accept({ kind: 'unix', path });
  const [, address = '', digits = ''] = TCP.exec(text) ?? [];
  const host = address.replace(/^\[|\]$/g, '');
  const port = Number(digits);
  if (isIP(host) !== 0 && port > 0 && port < 65_536) return accept({ kind: 'tcp', host, port });
  return refuse(
    'ENDPOINT_INVALID',
    'a Workload API endpoint is unix:///absolute/path or tcp://IP:port',
  );
}

/** The variable that names the Workload API where nothing else does (Workload Endpoint, section 4). */
export const ENDPOINT_VARIABLE = 'SPIFFE_ENDPOINT_SOCKET';

/**
 * The address to use: the configured one, else what the environment names. The environment is handed
 * in; this folder reads none.
 */
export function chooseEndpoint(
  configured: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Outcome<string, EndpointCode> {
  const address = configured ?? environment[ENDPOINT_VARIABLE];
  if (address === undefined || address === '') {
    return refuse('ENDPOINT_INVALID', `configure an address, or set ${ENDPOINT_VARIABLE}`);
  }
  const endpoint = parseEndpoint(address);
  return endpoint.ok ? accept(address) : endpoint;
}
