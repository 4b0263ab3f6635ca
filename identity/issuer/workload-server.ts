import { createHash } from 'node:crypto';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import {
  Code,
  ConnectError,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect';
import {
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import type { Peer, PeerCredentials } from '../attestors/peer.ts';
import { accept, type Outcome } from '../outcome.ts';
import { SpiffeWorkloadAPI } from '../workload-api/generated/workload_pb.ts';
import type { Changes } from './changes.ts';
import type { IssuerCode } from './codes.ts';
import { type Connection, type ConnectionLimits, listenOnSocket } from './connections.ts';
import type { Entitlement, Material } from './entitlement.ts';

export interface WorkloadServerOptions {
  readonly socketPath: string;
  readonly socketMode?: number | undefined;
  readonly trustDomain: string;
  readonly credentials: PeerCredentials;
  readonly entitlement: Entitlement;
  readonly changes: Changes;
  readonly clock: () => Date;
  /** Each time a caller is refused; all zero when the kernel did not tell who it is. */
  readonly denied: (
    caller: { readonly pid: number; readonly startTime: number },
    code: IssuerCode,
    detail: string,
  ) => void;
  readonly limits: ConnectionLimits;
}

/** Bundle streams look at their caller again after this, though nothing was announced. */
const RECHECK_MS = 60_000;
const MAX_REQUEST_BYTES = 16_384;

const CONNECTION = createContextKey<Connection | undefined>(undefined);

/** One state of a stream: `key` changes when the message does. */
interface Push<T> {
  readonly message: T;
  readonly key: string;
  /** Milliseconds since the epoch; when to look again although nothing was announced. */
  readonly again: number;
}

function digest(parts: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('base64url');
}

/** E-02: the header keeps a request out that a browser or proxy was tricked into. */
function requireHeader(context: HandlerContext): void {
  if (context.requestHeader.get('workload.spiffe.io') !== 'true') {
    throw new ConnectError('security header missing from request', Code.InvalidArgument);
  }
}

async function* pushes<T>(
  options: WorkloadServerOptions,
  context: HandlerContext,
  current: (peer: Peer) => Promise<Outcome<Push<T>, IssuerCode>>,
): AsyncGenerator<T> {
  const connection = context.values.get(CONNECTION);
  if (connection === undefined) throw new ConnectError('no connection', Code.Internal);
  const { peer } = connection;
  const caller = peer.ok ? peer.value : { pid: 0, startTime: 0 };
  const deny = (code: IssuerCode, detail: string): ConnectError => {
    options.denied(caller, code, detail);
    // The reason is for the launcher; a stranger learns that there is nothing for it.
    return code === 'AUTHORITY_EXPIRED'
      ? new ConnectError('no signing authority', Code.Unavailable)
      : new ConnectError('no identity issued', Code.PermissionDenied);
  };
  if (!peer.ok) throw deny(peer.code, peer.detail);

  const subscription = options.changes.subscribe(caller.pid);
  try {
    let sent: string | undefined;
    for (;;) {
      const now = await current(peer.value);
      const grace = connection.acceptedAt + options.limits.graceMs - performance.now();
      if (!now.ok && now.code === 'NOT_LAUNCHED' && sent === undefined && grace > 0) {
        await subscription.next(context.signal, grace);
        if (context.signal.aborted) return;
        continue;
      }
      if (!now.ok) throw deny(now.code, now.detail);
      if (now.value.key !== sent) {
        sent = now.value.key;
        // At most one message is ever under way; what changes meanwhile is sent as one.
        const slow = setTimeout(() => connection.drop(), options.limits.slowReaderMs);
        try {
          yield now.value.message;
        } finally {
          clearTimeout(slow);
        }
      }
      const wait = now.value.again - options.clock().getTime();
      await subscription.next(context.signal, wait);
      if (context.signal.aborted) return;
    }
  } finally {
    subscription.end();
  }
}

function svidPush(material: Material) {
  const bundle = Buffer.concat(material.bundle);
  const message = {
    svids: material.svids.map((svid) => ({
      spiffeId: svid.id,
      x509Svid: svid.chain,
      x509SvidKey: svid.key,
      bundle,
      hint: svid.hint,
    })),
    // SPIRE has no CRL either; an identity is taken away by its entry.
    crl: [],
    federatedBundles: {},
  };
  const serials = material.svids.map((svid) => `${svid.serial} ${svid.hint}`);
  return { message, key: `${serials.join()}|${digest([bundle])}`, again: material.renewAt };
}

/** Turns what a hostile or merely odd client sent into what the RPC library takes without throwing. */
function normalise(request: Http2ServerRequest): void {
  // E-10: clients send localhost, a percent-encoded socket path, or a host header, and it means
  // nothing on a Unix socket; as `%2Fpath` it would throw inside the library's URL parser.
  request.headers[':authority'] = 'localhost';
  request.headers.host = 'localhost';
}

/** Serves the SPIFFE Workload API, X.509 profile; JWT and WIT answer Unimplemented. */
export async function serveWorkloadApi(
  options: WorkloadServerOptions,
): Promise<{ close(): Promise<void> }> {
  const stopping = new AbortController();
  const { entitlement, trustDomain, clock } = options;
  const router = createConnectRouter({
    grpcWeb: false,
    connect: false,
    acceptCompression: [],
    readMaxBytes: MAX_REQUEST_BYTES,
    requestGate: requireHeader,
    shutdownSignal: stopping.signal,
  });
  router.service(SpiffeWorkloadAPI, {
    fetchX509SVID: (_request, context) =>
      pushes(options, context, async (peer) => {
        const material = await entitlement.material(peer);
        return material.ok ? accept(svidPush(material.value)) : material;
      }),
    fetchX509Bundles: (_request, context) =>
      pushes(options, context, async (peer) => {
        const bundle = entitlement.bundle(peer);
        if (!bundle.ok) return bundle;
        // keyed by the trust domain's SPIFFE ID.
        const bundles = { [`spiffe://${trustDomain}`]: Buffer.concat(bundle.value) };
        const again = clock().getTime() + RECHECK_MS;
        return accept({ message: { crl: [], bundles }, key: digest(bundle.value), again });
      }),
  });
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  const answer = async (
    request: Http2ServerRequest,
    response: Http2ServerResponse,
    connection: Connection,
  ): Promise<void> => {
    const handler = handlers.get(request.url);
    if (handler === undefined) {
      response.writeHead(404).end();
      return;
    }
    normalise(request);
    const values = createContextValues().set(CONNECTION, connection);
    const universal = universalRequestFromNodeRequest(request, response, undefined, values);
    await universalResponseToNodeResponse(await handler(universal), response);
  };
  const server = await listenOnSocket({
    socketPath: options.socketPath,
    socketMode: options.socketMode,
    credentials: options.credentials,
    limits: options.limits,
    // The library rejects when a caller breaks off in the middle of an answer: nothing to report.
    handle: (request, response, connection) => {
      answer(request, response, connection).catch(() => response.stream.destroy());
    },
  });
  return {
    close: async () => {
      stopping.abort(new ConnectError('the issuer stops', Code.Unavailable));
      await server.close();
    },
  };
}
