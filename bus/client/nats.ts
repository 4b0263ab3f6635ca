import { connect, headers, type NatsConnection, nkeyAuthenticator } from '@nats-io/transport-node';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { X509Source } from '#identity/svid.ts';
import { clientTls } from '#identity/tls.ts';

export type { NatsConnection, Subscription } from '@nats-io/transport-node';

/** All headers of a message; `malformed` when they cannot be read without throwing. */
export type IncomingHeaders =
  | Iterable<readonly [string, readonly string[]]>
  | 'malformed'
  | undefined;

/** A message as it came: nothing about it is proven. */
export interface Incoming {
  readonly subject: string;
  readonly reply: string | undefined;
  readonly headers: IncomingHeaders;
  /** Status code that the server itself sets (503 no responders, 404 no messages); 0 for none. */
  readonly status: number;
  readonly data: Uint8Array;
}

export type HeaderPairs = readonly (readonly [name: string, value: string])[];

export interface ConnectOptions {
  readonly source: X509Source;
  /** `tls://127.0.0.1:PORT` */
  readonly url: string;
  readonly brokerId: SpiffeId;
  /** Gates and the supervisor only: the seed of the NKey pinned in the server's configuration. */
  readonly nkeySeed?: string;
  /** Uniform in [0, 1): jitter of reconnects. */
  readonly random: () => number;
  readonly clock: () => number;
  /** Limit on one attempt, in milliseconds. */
  readonly connectMs?: number;
}

/** Long, for a machine that is busy: where no gate answers, the server ends the attempt itself. */
const CONNECT_TIMEOUT_MS = 10_000;
const RECONNECT_BASE_MS = 100;
const RECONNECT_JITTER_MS = 900;

/**
 * One connection with the SVID of the moment. It reconnects for ever, each time with the SVID that
 * is current then, and whatever the gate answered before: an entry may come back.
 */
export function connectNats(options: ConnectOptions): Promise<NatsConnection> {
  const { nkeySeed } = options;
  return connect({
    servers: options.url,
    // With an NKey the name says nothing to the server; without, the gate compares it.
    name: options.source.svid().id,
    // Read anew at every handshake; the broker is who its SVID says, whatever the host is called.
    tls: clientTls(options.source, options.brokerId, () => new Date(options.clock())),
    timeout: options.connectMs ?? CONNECT_TIMEOUT_MS,
    maxReconnectAttempts: -1,
    ignoreAuthErrorAbort: true,
    ignoreClusterUpdates: true,
    reconnectDelayHandler: () => RECONNECT_BASE_MS + options.random() * RECONNECT_JITTER_MS,
    pingInterval: 10_000,
    noAsyncTraces: true,
    ...(nkeySeed === undefined
      ? {}
      : { authenticator: nkeyAuthenticator(new TextEncoder().encode(nkeySeed)) }),
  });
}

interface RawMessage {
  readonly subject: string;
  readonly reply?: string;
  readonly data: Uint8Array;
  readonly headers?: Iterable<[string, string[]]> & { readonly code: number };
}

/** nats.js decodes headers when they are read, and throws on some that a stranger can send. */
export function incoming(message: RawMessage): Incoming {
  const { subject, data } = message;
  const reply = message.reply === '' ? undefined : message.reply;
  try {
    const decoded = message.headers;
    return { subject, reply, headers: decoded, status: decoded?.code ?? 0, data };
  } catch {
    return { subject, reply, headers: 'malformed', status: 0, data };
  }
}

export function outgoing(pairs: HeaderPairs) {
  const set = headers();
  for (const [name, value] of pairs) set.append(name, value);
  return set;
}
