import { constants } from 'node:crypto';
import type { DetailedPeerCertificate, PeerCertificate, Server, TLSSocket } from 'node:tls';
import type { ExpectedPeer } from './authorise.ts';
import { bundleToPem, certificatesToPem } from './bundle.ts';
import type { PeerCode } from './codes.ts';
import { type Outcome, refuse } from './outcome.ts';
import { trustDomainOf } from './spiffe-id.ts';
import type { BundleSet, VerifiedSvid, X509Source } from './svid.ts';
import { verifyX509Svid } from './x509/verify.ts';

/** TLS options whose material is read from the source at each use, so that rotation needs no restart. */
export interface LiveTls {
  /** PEM chain, leaf first. */
  readonly cert: string;
  readonly key: string;
  /**
   * PEM. Only the outer gate: with several trust domains it holds the roots of all, and the peer's
   * chain is verified again against its own domain alone.
   */
  readonly ca: string;
  readonly minVersion: 'TLSv1.3';
  readonly rejectUnauthorized: true;
  /** Authorities that are not self-signed end a path too. */
  readonly allowPartialTrustChain: true;
}

export interface ClientTls extends LiveTls {
  /** Node calls it only with `rejectUnauthorized`, and not on a resumed session: never pass `session`. */
  readonly checkServerIdentity: (host: string, peer: PeerCertificate) => Error | undefined;
}

export interface ServerTls extends LiveTls {
  readonly requestCert: true;
  readonly secureOptions: number;
}

/** Longest walk over a peer's chain; `verifyX509Svid` has its own bound below it. */
const MAX_WALK = 9;

/**
 * Client options for mutual TLS as the source's default SVID. Host names play no part: the server is
 * who its SPIFFE ID says (XV-05). Getters throw when the identity was taken away, so that no
 * connection is opened without one.
 */
export function clientTls(
  source: X509Source,
  expected: ExpectedPeer,
  now: () => Date = () => new Date(),
): ClientTls {
  const bundles = () => bundlesFor(source.bundles(), expected);
  return live(source, bundles, {
    checkServerIdentity: (_host: string, peer: PeerCertificate): Error | undefined => {
      const verified = verifyPeer(chainOf(peer), bundles(), expected, now());
      return verified.ok ? undefined : new Error(`${verified.code}: ${verified.detail}`);
    },
  });
}

/**
 * Server options for mutual TLS. They check the outer gate only: call `peerOf` on `secureConnection`
 * before reading a byte. Tickets are off, so that each connection shows its certificate.
 */
export function serverTls(source: X509Source): ServerTls {
  return live(source, () => source.bundles(), {
    requestCert: true as const,
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
}

/** Moves a listening server to new material after each push. Returns the function that stops it. */
export function followSource(server: Server, source: X509Source): () => void {
  return source.onUpdate(() => {
    try {
      server.setSecureContext(serverTls(source));
    } catch {
      // The identity was taken away: nobody can be proven to any more, so nobody new is let in.
      server.close();
    }
  });
}

/** Who is at the other end of a handshaken server socket, verified against their own domain's bundle. */
export function peerOf(
  socket: TLSSocket,
  bundles: BundleSet,
  expected: ExpectedPeer,
  now: Date,
): Outcome<VerifiedSvid, PeerCode> {
  if (socket.isSessionReused()) {
    return refuse('PEER_SESSION_RESUMED', 'resumed sessions are not accepted');
  }
  return verifyPeer(chainOf(socket.getPeerCertificate(true)), bundles, expected, now);
}

/** Verifies a presented chain (DER, leaf first) and that it proves an expected SPIFFE ID. */
export function verifyPeer(
  chain: readonly Uint8Array[],
  bundles: BundleSet,
  expected: ExpectedPeer,
  now: Date,
): Outcome<VerifiedSvid, PeerCode> {
  if (chain.length === 0) return refuse('PEER_NO_CERTIFICATE', 'no certificate was presented');
  const verified = verifyX509Svid(chain, bundles, now);
  if (!verified.ok) return verified;
  const { id } = verified.value;
  const matches = typeof expected === 'function' ? expected(id) : id === expected;
  return matches ? verified : refuse('PEER_UNEXPECTED', `the peer is ${id}`);
}

/** Own enumerable getters: clients such as NATS copy options key by key at each connection. */
function live<Extra extends object>(
  source: X509Source,
  bundles: () => BundleSet,
  extra: Extra,
): LiveTls & Extra {
  return {
    get cert() {
      return certificatesToPem(source.svid().certificates);
    },
    get key() {
      return source.svid().key.export({ format: 'pem', type: 'pkcs8' }).toString();
    },
    get ca() {
      const pem = [...bundles().values()].map(bundleToPem).join('');
      // An empty list would make the TLS library trust the public web's authorities.
      if (pem === '') throw new Error('no X.509 authority is held for the peer');
      return pem;
    },
    minVersion: 'TLSv1.3',
    rejectUnauthorized: true,
    allowPartialTrustChain: true,
    ...extra,
  };
}

/** One expected ID means one trust domain: no other domain's roots are offered to the TLS library. */
function bundlesFor(bundles: BundleSet, expected: ExpectedPeer): BundleSet {
  if (typeof expected === 'function') return bundles;
  const domain = trustDomainOf(expected);
  return new Map([...bundles].filter(([name]) => name === domain));
}

/**
 * The chain that the peer sent, leaf first. The TLS library may append a root out of `ca`, even one
 * of another domain; the verifier stops at its own authorities and believes nothing behind them.
 */
function chainOf(peer: PeerCertificate | DetailedPeerCertificate): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  let next: Partial<DetailedPeerCertificate> | undefined = peer;
  while (next?.raw !== undefined && chain.length < MAX_WALK) {
    chain.push(new Uint8Array(next.raw));
    const issuer: DetailedPeerCertificate | undefined = next.issuerCertificate;
    next = issuer === next ? undefined : issuer;
  }
  return chain;
}
