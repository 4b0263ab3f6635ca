import { connect } from 'node:net';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { parseEndpoint } from './endpoint.ts';
import {
  type JWTBundlesResponse,
  type JWTSVIDResponse,
  SpiffeWorkloadAPI,
  type ValidateJWTSVIDResponse,
  type X509BundlesResponse,
  type X509SVIDResponse,
} from './generated/workload_pb.ts';

/** The calls of the X.509 and JWT profiles, each with the security header (Workload Endpoint 6). */
export interface WorkloadApi {
  x509Svids(signal: AbortSignal): AsyncIterable<X509SVIDResponse>;
  x509Bundles(signal: AbortSignal): AsyncIterable<X509BundlesResponse>;
  jwtBundles(signal: AbortSignal): AsyncIterable<JWTBundlesResponse>;
  /** An empty `id` asks for all identities of the caller. */
  jwtSvids(audience: readonly string[], id: string, call: CallOptions): Promise<JWTSVIDResponse>;
  validate(audience: string, svid: string, call: CallOptions): Promise<ValidateJWTSVIDResponse>;
  close(): void;
}

export interface CallOptions {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** Why a call ended: the server's own answer, or none. */
export interface CallFailure {
  readonly kind: /** InvalidArgument or Unimplemented: asking again does not help (Workload Endpoint, App. A). */
    | 'refused'
    /** PermissionDenied: no identity, for now. */
    | 'denied'
    | 'unavailable';
  readonly detail: string;
}

const SECURITY_HEADER = { 'workload.spiffe.io': 'true' } as const;
/** gRPC's customary limit on a message. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/**
 * A client on one HTTP/2 connection, which is opened at the first call and again when it was cut.
 * `address` is an absolute path or what `SPIFFE_ENDPOINT_SOCKET` holds.
 * @throws Error when it is neither.
 */
export function connectWorkloadApi(address: string): WorkloadApi {
  const endpoint = parseEndpoint(address);
  if (!endpoint.ok) throw new Error(`${endpoint.code}: ${endpoint.detail}`);
  const target = endpoint.value;
  const sessions = new Http2SessionManager('http://localhost', undefined, {
    createConnection: () =>
      target.kind === 'unix' ? connect(target.path) : connect(target.port, target.host),
  });
  const client = createClient(
    SpiffeWorkloadAPI,
    createGrpcTransport({
      baseUrl: 'http://localhost',
      sessionManager: sessions,
      readMaxBytes: MAX_MESSAGE_BYTES,
      acceptCompression: [],
    }),
  );
  const headers = SECURITY_HEADER;
  return {
    x509Svids: (signal) => client.fetchX509SVID({}, { headers, signal }),
    x509Bundles: (signal) => client.fetchX509Bundles({}, { headers, signal }),
    jwtBundles: (signal) => client.fetchJWTBundles({}, { headers, signal }),
    jwtSvids: (audience, id, call) =>
      client.fetchJWTSVID({ audience: [...audience], spiffeId: id }, { headers, ...call }),
    validate: (audience, svid, call) =>
      client.validateJWTSVID({ audience, svid }, { headers, ...call }),
    close: () => sessions.abort(),
  };
}

export function failureOf(error: unknown): CallFailure {
  const { code, rawMessage, metadata } = ConnectError.from(error);
  // The library gives the same codes to its own troubles, such as a message that was cut short: only
  // a status that the server sent is its answer.
  const answered = metadata.has('grpc-status');
  if (answered && (code === Code.InvalidArgument || code === Code.Unimplemented)) {
    return { kind: 'refused', detail: `${Code[code]}: ${rawMessage}` };
  }
  return {
    kind: answered && code === Code.PermissionDenied ? 'denied' : 'unavailable',
    detail: rawMessage,
  };
}
