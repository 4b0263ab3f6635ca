import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import {
  createFrameReader,
  encodeFrame,
  encodeMessage,
  type FrameReader,
  GRPC_STATUS,
  type GrpcFailure,
  parseTimeout,
} from './grpc.ts';

/** One call of a method, for as long as somebody waits for an answer. */
export interface GrpcCall {
  /** Whether the caller has gone, or the call has been answered. */
  readonly over: boolean;
  /** Calls back once, when it is over. */
  onOver(listener: () => void): void;
}

/** A message of the schema's bytes, or how the call ends. */
export type GrpcAnswer = Uint8Array | GrpcFailure;

export type GrpcMethod<Context> =
  /** One message in, any number out: a unary method is one that answers once. */
  | {
      readonly takes: 'one';
      answers(request: Uint8Array, call: GrpcCall, context: Context): AsyncIterable<GrpcAnswer>;
    }
  /** An answer to each message, as it comes. */
  | { readonly takes: 'many'; answer(request: Uint8Array): GrpcAnswer };

export interface GrpcServerOptions<Context> {
  /** Request path → method. */
  readonly methods: ReadonlyMap<string, GrpcMethod<Context>>;
  /** Asked of each request of a known method, before its body. */
  readonly gate: (headers: IncomingHttpHeaders) => GrpcFailure | undefined;
  /** Of one message. */
  readonly maxRequestBytes: number;
  /** How long a request may take to arrive, a question of a dialogue to come, an answer to be read. */
  readonly patienceMs: number;
  /** Ends the connection of a caller that does not read: it would not read a status either. */
  readonly cutOff: (context: Context) => void;
}

export interface GrpcServer<Context> {
  handle(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, context: Context): void;
  /** Ends every call with this status; what comes later ends so, too. */
  stop(why: GrpcFailure): void;
}

/** The longest that Node's timers can wait. */
const MAX_DELAY = 0x7fffffff;
const CONTENT_TYPE = /^application\/grpc(?:\+proto)?[ \t]*(?:;|$)/i;
const HEADERS = { ':status': 200, 'content-type': 'application/grpc' } as const;

function failure(status: number, message: string): GrpcFailure {
  return { status, message };
}
const MALFORMED = failure(GRPC_STATUS.invalidArgument, 'a request is one message');
const EXPIRED = failure(GRPC_STATUS.deadlineExceeded, 'the deadline of the caller has passed');
const INCOMPLETE = failure(GRPC_STATUS.deadlineExceeded, 'the request did not arrive in time');
const SILENT = failure(GRPC_STATUS.deadlineExceeded, 'no question came in time');
const BROKEN = failure(GRPC_STATUS.internal, 'internal error');

function statusFields({ status, message }: GrpcFailure) {
  return {
    'grpc-status': String(status),
    ...(message !== '' && { 'grpc-message': encodeMessage(message) }),
  };
}

/** The two directions of one stream, and its end. */
interface Exchange extends GrpcCall {
  /** Resolves when the message has left, or nobody waits for it any more. */
  send(message: Uint8Array): Promise<void>;
  finish(why: GrpcFailure): void;
}

/** @param cutOff what happens to a caller that takes longer than `patienceMs` to read one thing */
function exchangeOn(stream: ServerHttp2Stream, patienceMs: number, cutOff: () => void): Exchange {
  let over = false;
  let ending: GrpcFailure | undefined;
  let sent: (() => void) | undefined;
  const listeners: (() => void)[] = [];
  const gone = (): boolean => over || stream.closed || stream.destroyed;
  const end = (): void => {
    if (over) return;
    over = true;
    sent?.();
    for (const listener of listeners.splice(0)) listener();
  };
  stream.on('close', end);
  // A caller that breaks off: there is nobody left to tell.
  stream.on('error', end);
  // One for all that is sent: whoever reads nothing would hold a message and a connection.
  let slow: NodeJS.Timeout | undefined;
  const unread = (): void => {
    clearTimeout(slow);
    slow = setTimeout(cutOff, patienceMs);
  };
  stream.on('close', () => clearTimeout(slow));
  stream.on('wantTrailers', () => {
    stream.sendTrailers(statusFields(ending ?? failure(GRPC_STATUS.ok, '')));
    // Whoever still sends is told that nobody reads.
    if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
  });
  return {
    get over() {
      return over;
    },
    onOver: (listener) => {
      if (over) listener();
      else listeners.push(listener);
    },
    send: (message) => {
      if (gone()) return Promise.resolve();
      if (!stream.headersSent) stream.respond(HEADERS, { waitForTrailers: true });
      unread();
      return new Promise((resolve) => {
        sent = resolve;
        // Called when the window of the caller had room: at most one message waits in here.
        stream.write(encodeFrame(message), () => {
          if (!over) clearTimeout(slow);
          resolve();
        });
      });
    },
    finish: (why) => {
      if (gone()) return end();
      ending = why;
      unread();
      if (stream.headersSent) {
        stream.end();
      } else {
        stream.respond({ ...HEADERS, ...statusFields(why) }, { endStream: true });
        if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
      }
      end();
    },
  };
}

/**
 * Ends the call when its caller wants no answer any more.
 * @returns a refusal when it says so in no form that there is
 */
function heedDeadline(exchange: Exchange, headers: IncomingHttpHeaders): GrpcFailure | undefined {
  const asked = headers['grpc-timeout'];
  if (asked === undefined) return undefined;
  const timeout = parseTimeout(String(asked));
  if (timeout === undefined) {
    return failure(GRPC_STATUS.invalidArgument, 'grpc-timeout is malformed');
  }
  const timer = setTimeout(() => exchange.finish(EXPIRED), Math.min(timeout, MAX_DELAY));
  exchange.onOver(() => clearTimeout(timer));
  return undefined;
}

/** A gRPC server for the streams that somebody else accepts. It reads no compressed messages. */
export function createGrpcServer<Context>(
  options: GrpcServerOptions<Context>,
): GrpcServer<Context> {
  const { methods, gate, maxRequestBytes } = options;
  const calls = new Set<Exchange>();
  let stopped: GrpcFailure | undefined;

  const run = async (exchange: Exchange, answers: AsyncIterable<GrpcAnswer>): Promise<void> => {
    for await (const answer of answers) {
      if (exchange.over) return;
      if (!(answer instanceof Uint8Array)) return exchange.finish(answer);
      await exchange.send(answer);
    }
    exchange.finish(failure(GRPC_STATUS.ok, ''));
  };

  const serveOne = (
    stream: ServerHttp2Stream,
    reader: FrameReader,
    exchange: Exchange,
    answersTo: (request: Uint8Array) => AsyncIterable<GrpcAnswer>,
  ): void => {
    let request: Uint8Array | undefined;
    const late = setTimeout(() => exchange.finish(INCOMPLETE), options.patienceMs);
    exchange.onOver(() => clearTimeout(late));
    stream.on('data', (chunk: Buffer) => {
      if (exchange.over) return;
      const read = reader.push(chunk);
      if (!read.ok) return exchange.finish(read);
      const [first, second] = request === undefined ? read.messages : [request, ...read.messages];
      if (second !== undefined) return exchange.finish(MALFORMED);
      request = first;
    });
    stream.once('end', () => {
      clearTimeout(late);
      if (exchange.over) return;
      if (request === undefined || reader.rest > 0) return exchange.finish(MALFORMED);
      // What throws in here is a fault of ours; its words are not for the caller.
      run(exchange, answersTo(request)).catch(() => exchange.finish(BROKEN));
    });
  };
  /** At the pace at which the answers are read: an answer may be long, and a question is short. */
  const serveMany = async (
    stream: ServerHttp2Stream,
    reader: FrameReader,
    exchange: Exchange,
    answerTo: (request: Uint8Array) => GrpcAnswer,
  ): Promise<void> => {
    // Each question has its own time: who sends one octet now and then asks nothing.
    const silence = () =>
      setTimeout(() => exchange.finish(reader.rest > 0 ? INCOMPLETE : SILENT), options.patienceMs);
    let silent = silence();
    exchange.onOver(() => clearTimeout(silent));
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      const read = reader.push(chunk);
      if (!read.ok) return exchange.finish(read);
      for (const message of read.messages) {
        const answer = answerTo(message);
        if (!(answer instanceof Uint8Array)) return exchange.finish(answer);
        clearTimeout(silent);
        await exchange.send(answer);
        if (exchange.over) return;
        silent = silence();
      }
    }
    exchange.finish(reader.rest > 0 ? MALFORMED : failure(GRPC_STATUS.ok, ''));
  };

  return {
    handle: (stream, headers, context) => {
      if (stream.closed || stream.destroyed) return;
      const http = (status: number): void => {
        stream.on('error', () => {});
        stream.respond({ ':status': status }, { endStream: true });
        stream.close(constants.NGHTTP2_NO_ERROR);
      };
      if (headers[':method'] !== 'POST') return http(405);
      if (!CONTENT_TYPE.test(headers['content-type'] ?? '')) return http(415);
      const exchange = exchangeOn(stream, options.patienceMs, () => options.cutOff(context));
      const method = methods.get(headers[':path'] ?? '');
      if (method === undefined) {
        return exchange.finish(failure(GRPC_STATUS.unimplemented, 'unknown method'));
      }
      const refused = stopped ?? gate(headers) ?? heedDeadline(exchange, headers);
      if (refused !== undefined) return exchange.finish(refused);
      calls.add(exchange);
      exchange.onOver(() => calls.delete(exchange));
      const encoding = headers['grpc-encoding'];
      const reader = createFrameReader(maxRequestBytes, encoding as string | undefined);
      if (method.takes === 'one') {
        serveOne(stream, reader, exchange, (request) => method.answers(request, exchange, context));
      } else {
        const served = serveMany(stream, reader, exchange, (request) => method.answer(request));
        served.catch(() => exchange.finish(BROKEN));
      }
    },
    stop: (why) => {
      stopped = why;
      for (const exchange of calls) exchange.finish(why);
    },
  };
}
