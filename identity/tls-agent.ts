import { Agent, type AgentOptions, type RequestOptions } from 'node:https';
import { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import type { ExpectedPeer } from './authorise.ts';
import type { X509Source } from './svid.ts';
import { clientTls } from './tls.ts';

/**
 * An agent for `https.request` that speaks mutual TLS as the source's SVID, newest at each connection,
 * with servers that prove an expected SPIFFE ID. Sessions are never resumed: on a resumed one Node does
 * not ask who the server is. Idle connections are closed when the source changes. `destroy` ends it.
 */
export function httpsAgent(
  source: X509Source,
  expected: ExpectedPeer,
  options: AgentOptions = {},
  now: () => Date = () => new Date(),
): Agent {
  return new SpiffeAgent(source, expected, options, now);
}

const HTTPS_PORT = 443;

class SpiffeAgent extends Agent {
  readonly #source: X509Source;
  readonly #expected: ExpectedPeer;
  readonly #now: () => Date;
  readonly #stop: () => void;

  constructor(source: X509Source, expected: ExpectedPeer, options: AgentOptions, now: () => Date) {
    super({ ...options, maxCachedSessions: 0 });
    this.#source = source;
    this.#expected = expected;
    this.#now = now;
    this.#stop = source.onUpdate(() => {
      for (const socket of Object.values(this.freeSockets).flat()) socket?.destroy();
    });
  }

  override createConnection(options: RequestOptions): Duplex {
    try {
      const { host, port, servername, family, timeout, lookup } = options;
      return connect({
        host: host ?? 'localhost',
        port: Number(port ?? HTTPS_PORT),
        ALPNProtocols: ['http/1.1'],
        ...(servername !== undefined && { servername }),
        ...(family !== undefined && { family }),
        ...(timeout !== undefined && { timeout }),
        ...(lookup !== undefined && { lookup }),
        ...clientTls(this.#source, this.#expected, this.#now),
      });
    } catch (error) {
      // No identity just now: the request fails, not the program.
      return new Duplex().destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  override destroy(): void {
    this.#stop();
    super.destroy();
  }
}
