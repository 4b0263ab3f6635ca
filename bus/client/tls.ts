import { X509Certificate } from 'node:crypto';
import type { PeerCertificate } from 'node:tls';
import { type SpiffeId, trustDomainOf } from '#identity/spiffe-id.ts';
import type { X509Source } from '#identity/svid.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';

function pem(der: Uint8Array): string {
  return new X509Certificate(der).toString();
}

/**
 * TLS options of a connection to the broker: our SVID as it is at each handshake (getters: nats.js
 * reads them anew on every connect), and a broker whose SVID verifies in its own trust domain and
 * names exactly `brokerId`. The host name proves nothing here, so it is not asked.
 */
export function brokerTls(options: {
  readonly source: X509Source;
  readonly brokerId: SpiffeId;
  readonly clock: () => number;
}) {
  const { source, brokerId, clock } = options;
  return {
    get ca(): string {
      const bundle = source.bundles().get(trustDomainOf(brokerId));
      return (bundle?.authorities ?? []).map((authority) => authority.toString()).join('\n');
    },
    get cert(): string {
      return source.svid().certificates.map(pem).join('\n');
    },
    get key(): string {
      return source.svid().key.export({ format: 'pem', type: 'pkcs8' }).toString();
    },
    servername: '',
    minVersion: 'TLSv1.3' as const,
    rejectUnauthorized: true,
    checkServerIdentity(_host: string, certificate: PeerCertificate): Error | undefined {
      const verified = verifyX509Svid([certificate.raw], source.bundles(), new Date(clock()));
      if (!verified.ok) return new Error(`the broker's certificate is refused: ${verified.code}`);
      if (verified.value.id === brokerId) return undefined;
      return new Error(`the broker is ${verified.value.id}, expected ${brokerId}`);
    },
  };
}
