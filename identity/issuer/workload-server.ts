import type { IncomingHttpHeaders } from 'node:http2';
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
import { GRPC_STATUS, type GrpcFailure } from './grpc.ts';
import { grpcDialogue, grpcMethod, type Reply } from './grpc-methods.ts';
import { createGrpcServer, type GrpcCall } from './grpc-server.ts';
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

export interface WorkloadServer {
  /** @param forGood streams end with PermissionDenied: nothing was, or will be, anybody's here */
  close(forGood?: boolean): Promise<void>;
}

const MAX_REQUEST_BYTES = 32_768;
/** Each token is a row of the log; a name of a service has far less. */
const MAX_AUDIENCE = 2048;
/** How far the clock of another issuer may be from ours (JWT-SVID, appendix A), in seconds. */
const JWT_LEEWAY = 5;

/** Claims of the JWT and JWT-SVID specifications. */
const REGISTERED = new Set(['sub', 'aud', 'exp', 'iat', 'nbf', 'iss', 'jti']);

/** What a caller learns; why, is for the launcher. E-06. */
const STATUS: Partial<Record<IssuerCode, GrpcFailure>> = {
  AUTHORITY_EXPIRED: unavailable('no signing authority'),
  PEER_UNREADABLE: unavailable('workload attestation failed'),
  TOKENS_TOO_MANY: unavailable('too many requests'),
  NODE_OFFLINE: unavailable('identities cannot be issued now'),
  STORE_FULL: unavailable('identities cannot be issued now'),
};
const DENIED = { status: GRPC_STATUS.permissionDenied, message: 'no identity issued' };

function unavailable(message: string): GrpcFailure {
  return { status: GRPC_STATUS.unavailable, message };
}

function invalid(message: string): { readonly failure: GrpcFailure } {
  return { failure: { status: GRPC_STATUS.invalidArgument, message } };
}

/** E-02: the header keeps a request out that a browser or proxy was tricked into. */
function requireHeader(headers: IncomingHttpHeaders): GrpcFailure | undefined {
  return headers['workload.spiffe.io'] === 'true'
    ? undefined
    : invalid('security header missing from request').failure;
}

/** JWT bundles under which a caller may have a token validated: its own domain's and federated. */
function jwtBundlesOf({ jwt, federated }: Trust): ReadonlyMap<string, JwtBundle> {
  const foreign = [...federated].map(([domain, bundle]) => [domain, bundle.jwt] as const);
  return new Map([[jwt.trustDomain, jwt], ...foreign]);
}

/** Serves the SPIFFE Workload API, X.509 and JWT profiles, and reflection; WIT is Unimplemented. */
export async function serveWorkloadApi(options: WorkloadServerOptions): Promise<WorkloadServer> {
  const { entitlement, trustDomain, clock } = options;

  const callOf = (call: GrpcCall, connection: Connection): Call => ({
    connection,
    get over() {
      return call.over;
    },
    onOver: call.onOver,
  });
  const refusal = ({ connection }: Call, { code, detail }: Refused<IssuerCode>) => {
    const { peer } = connection;
    const caller = peer.ok ? peer.value : { pid: 0, startTime: 0 };
    options.denied(caller, code, detail);
    return { failure: STATUS[code] ?? DENIED };
  };
  async function* once<T, M>(
    call: Call,
    ask: Parameters<typeof answerOnce<T>>[2],
    reply: (value: T) => Reply<M>,
  ): AsyncGenerator<Reply<M>, void> {
    const answer = await answerOnce(call, options, ask);
    call.connection.attested = answer.ok;
    yield answer.ok ? reply(answer.value) : refusal(call, answer);
  }
  async function* stream<T>(
    call: Call,
    ask: Parameters<typeof answerChanges<T>>[2],
  ): AsyncGenerator<Reply<T>, void> {
    for await (const answer of answerChanges(call, options, ask)) {
      call.connection.attested = answer.ok;
      yield answer.ok ? { message: answer.value } : refusal(call, answer);
    }
  }
  async function* one<M>(reply: Reply<M>): AsyncGenerator<Reply<M>, void> {
    yield reply;
  }
  const mapped = async <T, M>(
    outcome: Promise<Outcome<T, IssuerCode>>,
    push: (value: T) => Push<M>,
  ): Promise<Outcome<Push<M>, IssuerCode>> => {
    const found = await outcome;
    return found.ok ? accept(push(found.value)) : found;
  };

  const { method } = SpiffeWorkloadAPI;
  const reflection = createReflection();
  const grpc = createGrpcServer<Connection>({
    gate: requireHeader,
    maxRequestBytes: MAX_REQUEST_BYTES,
    patienceMs: options.limits.slowReaderMs,
    cutOff: (connection) => connection.drop(),
    methods: new Map([
      grpcMethod(method.fetchX509SVID, (_request, call, connection: Connection) =>
        stream(callOf(call, connection), (peer) => mapped(entitlement.material(peer), svidPush)),
      ),
      grpcMethod(method.fetchX509Bundles, (_request, call, connection: Connection) =>
        stream(callOf(call, connection), (peer) =>
          mapped(entitlement.trust(peer), (trust) => x509BundlePush(trust, trustDomain)),
        ),
      ),
      grpcMethod(method.fetchJWTBundles, (_request, call, connection: Connection) =>
        stream(callOf(call, connection), (peer) =>
          mapped(entitlement.trust(peer), (trust) => jwtBundlePush(trust, trustDomain)),
        ),
      ),
      grpcMethod(method.fetchJWTSVID, ({ audience, spiffeId }, call, connection: Connection) => {
        const [first = '', ...others] = audience;
        // a mandatory field with its default value.
        if (first === '' || others.includes('')) return one(invalid('audience must be specified'));
        if (audience.join('').length > MAX_AUDIENCE) return one(invalid('audience is too long'));
        const wanted = spiffeId === '' ? undefined : spiffeId;
        if (wanted !== undefined && !parseSpiffeId(wanted).ok) {
          return one(invalid('spiffe_id is not a SPIFFE ID'));
        }
        return once(
          callOf(call, connection),
          (peer) => entitlement.tokens(peer, [first, ...others], wanted),
          (tokens) => ({
            message: {
              svids: tokens.map(({ entry, token }) => ({
                spiffeId: entry.spiffe_id,
                svid: token,
                hint: entry.hint,
              })),
            },
          }),
        );
      }),
      grpcMethod(method.validateJWTSVID, ({ audience, svid }, call, connection: Connection) => {
        if (audience === '') return one(invalid('audience must be specified'));
        if (svid === '') return one(invalid('svid must be specified'));
        return once(
          callOf(call, connection),
          (peer) => entitlement.trust(peer),
          (trust) => validated(trust, audience, svid),
        );
      }),
      grpcDialogue(ServerReflection.method.serverReflectionInfo, reflection.answer),
      grpcDialogue(ServerReflectionAlpha.method.serverReflectionInfo, reflection.answer),
    ]),
  });

  const validated = (trust: Trust, audience: string, svid: string) => {
    const bundles = jwtBundlesOf(trust);
    const valid = validateJwtSvid(svid, { audience, bundles, now: clock(), leeway: JWT_LEEWAY });
    if (!valid.ok) return invalid(`${valid.code}: ${valid.detail}`);
    const { id, claims, audience: aud } = valid.value;
    const own = trustDomainOf(id) === trustDomain;
    // what another domain says of its workloads beside who they are is not passed on.
    const passed = Object.entries(claims).filter(([name]) => own || REGISTERED.has(name));
    // As SPIRE returns it: always a list.
    return { message: { spiffeId: id, claims: { ...Object.fromEntries(passed), aud: [...aud] } } };
  };

  const server = await listenOnSocket({
    socketPath: options.socketPath,
    socketMode: options.socketMode,
    credentials: options.credentials,
    limits: options.limits,
    handle: grpc.handle,
  });
  return {
    close: async (forGood = false) => {
      grpc.stop(forGood ? DENIED : unavailable('the issuer stops'));
      await server.close();
    },
  };
}
