/** gRPC over HTTP/2 as it stands on the wire (grpc/doc/PROTOCOL-HTTP2.md); no socket in here. */

export const GRPC_STATUS = {
  ok: 0,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

/** How a call ended, other than well. */
export interface GrpcFailure {
  readonly status: number;
  readonly message: string;
}

const PREFIX_BYTES = 5;

/** A message behind its prefix: not compressed, and its length. */
export function encodeFrame(message: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  out[0] = 0;
  out.writeUInt32BE(message.length, 1);
  out.set(message, PREFIX_BYTES);
  return out;
}

/** The messages that are complete now, or why there will be none. */
export type Frames =
  | { readonly ok: true; readonly messages: readonly Uint8Array[] }
  | ({ readonly ok: false } & GrpcFailure);

/** Takes a stream of octets apart; after a failure it takes no more. */
export interface FrameReader {
  push(chunk: Uint8Array): Frames;
  /** Octets of a message that is not complete. */
  readonly rest: number;
}

function failed(status: number, message: string): Frames {
  return { ok: false, status, message };
}

/**
 * @param maxBytes the longest message; a longer one is refused as soon as it is announced
 * @param encoding `grpc-encoding` of the request
 */
export function createFrameReader(maxBytes: number, encoding: string | undefined): FrameReader {
  let pending: Buffer = Buffer.alloc(0);
  return {
    push: (chunk) => {
      pending = pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([pending, chunk]);
      const messages: Uint8Array[] = [];
      while (pending.length >= PREFIX_BYTES) {
        const [flag] = pending;
        const size = pending.readUInt32BE(1);
        if (size > maxBytes) {
          return failed(GRPC_STATUS.resourceExhausted, 'the message is too long');
        }
        if (flag === 1 && encoding !== undefined && encoding !== 'identity') {
          return failed(GRPC_STATUS.unimplemented, 'no compression is served');
        }
        if (flag !== 0) {
          return failed(GRPC_STATUS.internal, 'a message has flags that mean nothing');
        }
        if (pending.length < PREFIX_BYTES + size) break;
        messages.push(pending.subarray(PREFIX_BYTES, PREFIX_BYTES + size));
        pending = pending.subarray(PREFIX_BYTES + size);
      }
      return { ok: true, messages };
    },
    get rest() {
      return pending.length;
    },
  };
}

const UNITS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};

/** `grpc-timeout` in milliseconds. @returns `undefined` when it is malformed */
export function parseTimeout(text: string): number | undefined {
  const [, count, unit = ''] = /^([0-9]{1,8})([HMSmun])$/.exec(text) ?? [];
  const scale = UNITS[unit];
  return count === undefined || scale === undefined ? undefined : Number(count) * scale;
}

/** `grpc-message`: percent-encoded UTF-8. */
export function encodeMessage(text: string): string {
  // A half of a surrogate pair has no UTF-8, and would throw.
  return encodeURIComponent(text.toWellFormed());
}
