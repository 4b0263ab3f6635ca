import { connectNats } from '#bus/client/nats.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { X509Source } from '#identity/svid.ts';
import type { IssuerLink } from '#runtime/launcher/issuer-link.ts';
import type { BrokerSession, OutsideBrokerOptions } from '#runtime/launcher/nats-outside.ts';
import { platformMember } from '#runtime/swarm-file/resolve.ts';
import type { BrokerKeys } from './broker.ts';
import { openMintedSource } from './minted-source.ts';

export interface BrokerSessionOptions {
  /** The supervisor's SVID; the session takes it over. */
  readonly source: X509Source;
  readonly port: number;
  readonly brokerId: SpiffeId;
  /** Of the administrator's NKey, pinned in the configuration that the broker must have. */
  readonly seed: string;
  readonly random: () => number;
  readonly clock: () => number;
}

const CONNECT_MS = 3000;
const TTL_SECONDS = 3600;

/**
 * Opens the administrator's connection. The broker has the SVID issued for it, or TLS fails; it knows
 * the administrator's key, made anew for each run, or it has another configuration and lets nobody in.
 * @throws Error when either is not so.
 */
export async function openBrokerSession(options: BrokerSessionOptions): Promise<BrokerSession> {
  const { source } = options;
  try {
    const connection = await connectNats({
      source,
      url: `tls://127.0.0.1:${options.port}`,
      brokerId: options.brokerId,
      nkeySeed: options.seed,
      random: options.random,
      clock: options.clock,
      connectMs: CONNECT_MS,
    });
    const closed = Promise.withResolvers<void>();
    const close = async (): Promise<void> => {
      await connection.close().catch(() => {});
      source.close();
      closed.resolve();
    };
    void (async () => {
      for await (const event of connection.status()) {
        // Reconnected it might speak with another one: what follows is another session.
        if (event.type === 'disconnect' || event.type === 'close') void close();
      }
    })();
    const id = connection.info?.server_id ?? '';
    return {
      // Of the server's own administration, in the account that only this key may use; without a
      // place for the answer the server does nothing. The certificate that is shown tells the outcome.
      reload: () =>
        void connection
          .request(`$SYS.REQ.SERVER.${id}.RELOAD`, undefined, { timeout: CONNECT_MS })
          .catch(() => {}),
      closed: closed.promise,
      close,
    };
  } catch (error) {
    source.close();
    throw error;
  }
}

/** How a broker that somebody else runs is reached, each time with an SVID of its own. */
export function outsideBroker(
  port: number | undefined,
  issuer: IssuerLink,
  trustDomain: string,
  { system: { seed } }: BrokerKeys,
): { readonly outside?: Pick<OutsideBrokerOptions, 'port' | 'connect'> } {
  if (port === undefined) return {};
  const { id } = platformMember(trustDomain, 'supervisor');
  const brokerId = platformMember(trustDomain, 'nats').id;
  const connect = async (): Promise<BrokerSession> => {
    const source = await openMintedSource(issuer, { id, ttlSeconds: TTL_SECONDS });
    if (!source.ok) throw new Error(source.detail);
    const { random } = Math;
    return openBrokerSession({
      source: source.value,
      port,
      brokerId,
      seed,
      random,
      clock: Date.now,
    });
  };
  return { outside: { port, connect } };
}
