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
import type { PeerCredentials } from '../attestors/peer.ts';
import type { JwtBundle } from '../jwt/bundle.ts';
import { validateJwtSvid } from '../jwt/validate.ts';
import { accept, type Outcome, type Refused } from '../outcome.ts';
import { parseSpiffeId, trustDomainOf } from '../spiffe-id.ts';
import { ServerReflection } from '../workload-api/generated/reflection_v1_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../workload-api/generated/reflection_v1alpha_pb.ts';
import { SpiffeWorkloadAPI } from '../workload-api/generated/workload_pb.ts';
import type { Changes } from './changes.ts';
import type { IssuerCode } from './codes.ts';
import { type Connection, type ConnectionLimits, listenOnSocket } from './connections.ts';
import type { Entitlement, Trust } from './entitlement.ts';
import { createReflection } from './reflection.ts';
import { answerChanges, answerOnce, type Call } from './workload-calls.ts';
import { jwtBundlePush, type Push, svidPush, x509BundlePush } from './workload-messages.ts';

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

const MAX_REQUEST_BYTES = 32_768;
/** Each token is a row of the log; a name of a service has far less. */
const MAX_AUDIENCE = 2048;
/** How far the clock of another issuer may be from ours (JWT-SVID, appendix A), in seconds. */
const JWT_LEEWAY = 5;

/** Claims of the JWT and JWT-SVID specifications. */
const REGISTERED = new Set(['sub', 'aud', 'exp', 'iat', 'nbf', 'iss', 'jti']);

const CONNECTION = createContextKey<Connection | undefined>(undefined);

/** What a caller learns; why, is for the launcher. E-06. */
const STATUS: Partial<Record<IssuerCode, readonly [Code, string]>> = {
  AUTHORITY_EXPIRED: [Code.Unavailable, 'no signing authority'],
  PEER_UNREADABLE: [Code.Unavailable, 'workload attestation failed'],
  TOKENS_TOO_MANY: [Code.Unavailable, 'too many requests'],
  STORE_FULL: [Code.Unavailable, 'identities cannot be issued now'],
};
const DENIED = [Code.PermissionDenied, 'no identity issued'] as const;

/** E-02: the header keeps a request out that a browser or proxy was tricked into. */
function requireHeader(context: HandlerContext): void {
  if (context.requestHeader.get('workload.spiffe.io') !== 'true') {
    throw new ConnectError('security header missing from request', Code.InvalidArgument);
  }
}

/** a mandatory field with its default value. */
function required(present: boolean, message: string): void {
  if (!present) throw new ConnectError(message, Code.InvalidArgument);
}

/** Turns what a hostile or merely odd client sent into what the RPC library takes without throwing. */
function normalise(request: Http2ServerRequest): void {
  // E-10: clients send localhost, a percent-encoded socket path, or a host header, and it means
  // nothing on a Unix socket; as `%2Fpath` it would throw inside the library's URL parser.
  request.headers[':authority'] = 'localhost';
  request.headers.host = 'localhost';
}

/** JWT bundles under which a caller may have a token validated: its own domain's and federated. */
function jwtBundlesOf({ jwt, federated }: Trust): ReadonlyMap<string, JwtBundle> {
  const foreign = [...federated].map(([domain, bundle]) => [domain, bundle.jwt] as const);
  return new Map([[jwt.trustDomain, jwt], ...foreign]);
}

/** Serves the SPIFFE Workload API, X.509 and JWT profiles, and reflection; WIT is Unimplemented. */
export async function serveWorkloadApi(
  options: WorkloadServerOptions,
): Promise<{ close(): Promise<void> }> {
  const stopping = new AbortController();
  const { entitlement, trustDomain, clock } = options;

  const callOf = (context: HandlerContext): Call => {
    const connection = context.values.get(CONNECTION);
    if (connection === undefined) throw new ConnectError('no connection', Code.Internal);
    return { connection, signal: context.signal };
  };
  const refusal = ({ connection }: Call, { code, detail }: Refused<IssuerCode>): ConnectError => {
    const { peer } = connection;
    const caller = peer.ok ? peer.value : { pid: 0, startTime: 0 };
    options.denied(caller, code, detail);
    const [status, message] = STATUS[code] ?? DENIED;
    return new ConnectError(message, status);
  };
  const once = async <T>(
    context: HandlerContext,
    ask: Parameters<typeof answerOnce<T>>[2],
  ): Promise<T> => {
    const call = callOf(context);
    const answer = await answerOnce(call, options, ask);
    if (!answer.ok) throw refusal(call, answer);
    return answer.value;
  };
  async function* stream<T>(
    context: HandlerContext,
    ask: Parameters<typeof answerChanges<T>>[2],
  ): AsyncGenerator<T> {
    const call = callOf(context);
    for await (const answer of answerChanges(call, options, ask)) {
      if (!answer.ok) throw refusal(call, answer);
      yield answer.value;
    }
  }
  const mapped = async <T, M>(
    outcome: Promise<Outcome<T, IssuerCode>>,
    push: (value: T) => Push<M>,
  ): Promise<Outcome<Push<M>, IssuerCode>> => {
    const found = await outcome;
    return found.ok ? accept(push(found.value)) : found;
  };

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
      stream(context, (peer) => mapped(entitlement.material(peer), svidPush)),
    fetchX509Bundles: (_request, context) =>
      stream(context, (peer) =>
        mapped(entitlement.trust(peer), (trust) => x509BundlePush(trust, trustDomain)),
      ),
    fetchJWTBundles: (_request, context) =>
      stream(context, (peer) =>
        mapped(entitlement.trust(peer), (trust) => jwtBundlePush(trust, trustDomain)),
      ),
    fetchJWTSVID: async ({ audience, spiffeId }, context) => {
      const [first = '', ...others] = audience;
      required(first !== '' && !others.includes(''), 'audience must be specified');
      required(audience.join('').length <= MAX_AUDIENCE, 'audience is too long');
      required(spiffeId === '' || parseSpiffeId(spiffeId).ok, 'spiffe_id is not a SPIFFE ID');
      const wanted = spiffeId === '' ? undefined : spiffeId;
      const tokens = await once(context, (peer) =>
        entitlement.tokens(peer, [first, ...others], wanted),
      );
      return {
        svids: tokens.map(({ entry, token }) => ({
          spiffeId: entry.spiffe_id,
          svid: token,
          hint: entry.hint,
        })),
      };
    },
    validateJWTSVID: async ({ audience, svid }, context) => {
      required(audience !== '', 'audience must be specified');
      required(svid !== '', 'svid must be specified');
      const trust = await once(context, (peer) => entitlement.trust(peer));
      const bundles = jwtBundlesOf(trust);
      const valid = validateJwtSvid(svid, { audience, bundles, now: clock(), leeway: JWT_LEEWAY });
      if (!valid.ok) throw new ConnectError(`${valid.code}: ${valid.detail}`, Code.InvalidArgument);
      const { id, claims, audience: aud } = valid.value;
      const own = trustDomainOf(id) === trustDomain;
      // what another domain says of its workloads beside who they are is not passed on.
      const passed = Object.entries(claims).filter(([name]) => own || REGISTERED.has(name));
      // As SPIRE returns it: always a list.
      return { spiffeId: id, claims: { ...Object.fromEntries(passed), aud: [...aud] } };
    },
  });
  const reflection = createReflection();
  router.service(ServerReflection, {
    serverReflectionInfo: async function* (questions) {
      for await (const question of questions) yield reflection.answer(question);
    },
  });
  router.service(ServerReflectionAlpha, {
    serverReflectionInfo: async function* (questions) {
      for await (const question of questions) yield reflection.answer(question);
    },
  });
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  const answer = async (
    request: Http2ServerRequest,
    response: Http2ServerResponse,
    connection: Connection,
  ): Promise<void> => {
    const handler = handlers.get(request.url);
    if (handler === undefined) {
      // As gRPC has it: an answer of HTTP, with the refusal where a client looks for it.
      const status = { 'grpc-status': `${Code.Unimplemented}`, 'grpc-message': 'unknown method' };
      response.writeHead(200, { 'content-type': 'application/grpc', ...status }).end();
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
