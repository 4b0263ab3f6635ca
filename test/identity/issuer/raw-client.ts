import { X509Certificate } from 'node:crypto';
import { type ClientHttp2Session, connect, constants, type OutgoingHttpHeaders } from 'node:http2';
import { connect as connectSocket, type Socket } from 'node:net';
import { type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import {
  JWTBundlesResponseSchema,
  X509BundlesResponseSchema,
  X509SVIDResponseSchema,
} from '#identity/workload-api/generated/workload_pb.ts';

/** gRPC by hand over HTTP/2, so that a test can say what no well-behaved client would. */
export interface RawCall {
  /** The next message's bytes; `undefined` at the end. */
  next(): Promise<Buffer | undefined>;
  /** Resolves at the end: the gRPC status, or `reset` when the stream or connection broke. */
  readonly status: Promise<number | 'reset'>;
  cancel(): void;
}

export const GRPC = {
  ok: 0,
  invalidArgument: 3,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  unavailable: 14,
} as const;

export function openSession(path: string | Socket): ClientHttp2Session {
  const session = connect('http://localhost', {
    createConnection: () => (typeof path === 'string' ? connectSocket(path) : path),
  });
  session.on('error', () => {});
  return session;
}

/** One gRPC frame. */
export function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

export function encode<T extends DescMessage>(schema: T, message: MessageShape<T>): Buffer {
  return frame(toBinary(schema, message));
}

/** @param method of the Workload API, or a whole path */
export function call(
  session: ClientHttp2Session,
  method: string,
  headers: OutgoingHttpHeaders = { 'workload.spiffe.io': 'true' },
  body: Uint8Array = Buffer.alloc(5),
): RawCall {
  const stream = session.request({
    ':method': 'POST',
    ':path': method.startsWith('/') ? method : `/SpiffeWorkloadAPI/${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  const messages: Buffer[] = [];
  const waiting: ((message: Buffer | undefined) => void)[] = [];
  const ended = Promise.withResolvers<number | 'reset'>();
  let code: number | undefined;
  let over = false;
  let pending = Buffer.alloc(0);
  const note = (fields: Record<string, unknown>): void => {
    if (fields['grpc-status'] !== undefined) code = Number(fields['grpc-status']);
  };
  stream.on('response', note);
  stream.on('trailers', note);
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 5 && pending.length >= 5 + pending.readUInt32BE(1)) {
      const size = pending.readUInt32BE(1);
      const message = pending.subarray(5, 5 + size);
      pending = pending.subarray(5 + size);
      const taker = waiting.shift();
      if (taker === undefined) messages.push(message);
      else taker(message);
    }
  });
  stream.on('close', () => {
    over = true;
    ended.resolve(code ?? 'reset');
    for (const taker of waiting) taker(undefined);
  });
  stream.end(body);
  return {
    next: async () => {
      const ready = messages.shift();
      if (ready !== undefined || over) return ready;
      return new Promise((resolve) => waiting.push(resolve));
    },
    status: ended.promise,
    cancel: () => stream.close(constants.NGHTTP2_CANCEL),
  };
}

export interface SeenSvid {
  readonly id: string;
  readonly serial: string;
  readonly leaf: Uint8Array;
  readonly key: Uint8Array;
  readonly bundle: Uint8Array;
  readonly notAfter: Date;
}

export function readSvids(message: Buffer | undefined): SeenSvid[] {
  if (message === undefined) return [];
  return fromBinary(X509SVIDResponseSchema, message).svids.map((svid) => {
    const leaf = new X509Certificate(svid.x509Svid);
    return {
      id: svid.spiffeId,
      serial: leaf.serialNumber.toLowerCase(),
      leaf: svid.x509Svid,
      key: svid.x509SvidKey,
      bundle: svid.bundle,
      notAfter: leaf.validToDate,
    };
  });
}

export function readBundles(message: Buffer | undefined): Record<string, Uint8Array> {
  return message === undefined ? {} : fromBinary(X509BundlesResponseSchema, message).bundles;
}

/** Trust domain's SPIFFE ID → parsed JWK Set. */
export function readJwtBundles(
  message: Buffer | undefined,
): Record<string, { keys: Record<string, string>[] }> {
  if (message === undefined) return {};
  const { bundles } = fromBinary(JWTBundlesResponseSchema, message);
  return Object.fromEntries(
    Object.entries(bundles).map(([id, set]) => [id, JSON.parse(Buffer.from(set).toString())]),
  );
}

/** One FetchX509SVID, first message only: the IDs, or the status. */
export async function fetchOnce(path: string | Socket): Promise<string[] | number | 'reset'> {
  const session = openSession(path);
  const stream = call(session, 'FetchX509SVID');
  const first = await stream.next();
  if (first === undefined) {
    const status = await stream.status;
    session.destroy();
    return status;
  }
  session.destroy();
  return readSvids(first).map((svid) => svid.id);
}
