import { createHash } from 'node:crypto';
import type { Server, TLSSocket } from 'node:tls';
import type { ExpectedPeer } from './authorise.ts';
import { bundleToDer } from './bundle.ts';
import type { PeerCode } from './codes.ts';
import type { Refused } from './outcome.ts';
import type { BundleSet, VerifiedSvid, X509Source } from './svid.ts';
import { followSource, peerOf } from './tls.ts';

export interface GuardOptions {
  readonly source: X509Source;
  readonly expected: ExpectedPeer;
  readonly now?: () => Date;
  /** Told of each connection that is ended, when it is opened or later. */
  readonly onRefused?: (refusal: Refused<PeerCode>) => void;
}

export interface Guard {
  /** Who is at the other end; `undefined` for sockets that this guard has not let in. */
  peer(socket: object): VerifiedSvid | undefined;
  /** Stops following the source; connections stay as they are. */
  stop(): void;
}

interface Admitted {
  readonly socket: TLSSocket;
  readonly peer: VerifiedSvid;
  readonly at: Date;
}

/**
 * Stands before every listener of a server that has `serverTls`: a connection whose peer is not
 * expected is ended before a byte of it is read, since Node's server side has no hook of its own
 * (XV-05). The server moves to each new SVID; when bundles change, open connections whose peer's chain
 * they carry no more are ended; when the identity is taken away, all are (Workload API 5.2.1).
 */
export function guardServer(server: Server, options: GuardOptions): Guard {
  const { source, expected, now = () => new Date(), onRefused = () => undefined } = options;
  const admitted = new Map<object, Admitted>();
  let known = digestOf(source.bundles());

  const judge = (socket: TLSSocket, at: Date): VerifiedSvid | undefined => {
    const peer = peerOf(socket, source.bundles(), expected, at);
    if (peer.ok) return peer.value;
    admitted.delete(socket);
    socket.destroy();
    onRefused(peer);
    return undefined;
  };
  const admit = (socket: TLSSocket): void => {
    const at = now();
    const peer = judge(socket, at);
    if (peer === undefined) return;
    admitted.set(socket, { socket, peer, at });
    socket.once('close', () => admitted.delete(socket));
  };
  const review = (): void => {
    const bundles = digestOf(source.bundles());
    if (bundles === known) return;
    known = bundles;
    // As of when it was let in: that a short-lived SVID has ended since ends no connection.
    for (const { socket, at } of admitted.values()) judge(socket, at);
  };
  server.prependListener('secureConnection', admit);
  const stopFollowing = followSource(server, source);
  const stopReview = source.onUpdate(review);
  return {
    peer: (socket) => admitted.get(socket)?.peer,
    stop() {
      stopFollowing();
      stopReview();
    },
  };
}

function digestOf(bundles: BundleSet): string {
  const hash = createHash('sha256');
  for (const [name, bundle] of [...bundles].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name}\n${Buffer.from(bundleToDer(bundle)).toString('base64')}\n`);
  }
  return hash.digest('base64url');
}
