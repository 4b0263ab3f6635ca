import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { parseWitnessRequest, type Witness } from '#custody/log/witness.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { stateRefusal } from '../file-errors.ts';
import {
  ADD_CHECKPOINT,
  CHECKPOINT,
  FORKS,
  MAX_REQUEST_BYTES,
  SIZE_TYPE,
  STATUS,
} from './protocol.ts';

export interface WitnessServerOptions {
  readonly socketPath: string;
  readonly witness: Pick<Witness, 'cosign'>;
  /** Origins of the logs that are watched. */
  readonly origins: readonly string[];
  /** The last checkpoint that was cosigned, with the cosignature. */
  readonly last: (origin: string) => Promise<string | undefined>;
  /** Proofs of forks, each JSON. */
  readonly forks: () => readonly string[];
  readonly limits?: Partial<WitnessLimits>;
}

export interface WitnessLimits {
  readonly maxConnections: number;
  /** From the first byte of a request to its last. */
  readonly requestMs: number;
  /** A connection without a request. */
  readonly idleMs: number;
}

export interface WitnessServer {
  close(): Promise<void>;
}

const LIMITS: WitnessLimits = { maxConnections: 256, requestMs: 2000, idleMs: 5000 };
const MAX_HEADER_BYTES = 4096;

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly type?: string;
}

const text = (status: number, body: string): Answer => ({ status, body });

/** The body, whole and UTF-8, or `undefined`. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_REQUEST_BYTES) return undefined;
    chunks.push(chunk);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch {
    return undefined;
  }
}

/** Somebody listens there: two processes with one memory would be two witnesses with one key. */
function answers(socketPath: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(socketPath);
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/**
 * A witness on a Unix socket (c2sp.org/tlog-witness). Whoever reaches the socket may speak, so
 * everything is bounded: bytes, time, and connections, of which the oldest makes room.
 */
export async function serveWitness(
  options: WitnessServerOptions,
): Promise<Outcome<WitnessServer, 'STATE_UNWRITABLE' | 'STATE_FULL' | 'STATE_LOCKED'>> {
  const { socketPath, witness } = options;
  const limits = { ...LIMITS, ...options.limits };
  const origins = new Map(
    options.origins.map((origin) => [createHash('sha256').update(origin).digest('hex'), origin]),
  );
  /** Every connection, oldest first. */
  const sockets = new Map<Socket, 'idle' | 'sending' | 'judged'>();

  async function addCheckpoint(request: IncomingMessage): Promise<Answer> {
    const body = await bodyOf(request);
    if (body === undefined)
      return text(400, 'WITNESS_REQUEST_MALFORMED: too large, or not UTF-8\n');
    const parsed = parseWitnessRequest(body);
    // One that had to make room meanwhile is on no list any more.
    if (sockets.has(request.socket)) sockets.set(request.socket, 'judged');
    const answer = parsed.ok ? await witness.cosign(parsed.value) : parsed;
    if (answer.ok) return text(200, answer.value);
    if (answer.code === 'WITNESS_SIZE_CONFLICT' && 'size' in answer) {
      return { status: 409, body: `${answer.size}\n`, type: SIZE_TYPE };
    }
    return text(STATUS[answer.code], `${answer.code}: ${answer.detail}\n`);
  }

  async function answerTo(request: IncomingMessage): Promise<Answer> {
    const { method, url = '' } = request;
    if (method === 'POST' && url === ADD_CHECKPOINT) return addCheckpoint(request);
    if (method !== 'GET') return text(405, 'method not allowed\n');
    if (url === FORKS) {
      return { status: 200, body: `[${options.forks().join(',')}]\n`, type: 'application/json' };
    }
    const origin = origins.get(CHECKPOINT.exec(url)?.[1] ?? '');
    const last = origin === undefined ? undefined : await options.last(origin);
    return last === undefined ? text(404, 'not found\n') : text(200, last);
  }

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { socket } = request;
    // Pipelined requests would wait here without a bound.
    if (sockets.get(socket) !== 'idle') return void socket.destroy();
    sockets.set(socket, 'sending');
    // A client that breaks off ends its own request only.
    const answer = await answerTo(request).catch(() => undefined);
    if (answer === undefined || socket.destroyed) return void socket.destroy();
    response.once('finish', () => {
      if (sockets.has(socket)) sockets.set(socket, 'idle');
    });
    // What is left of a body that was not read is not read as the next request.
    if (!request.complete) response.setHeader('Connection', 'close');
    response.writeHead(answer.status, {
      'Content-Type': answer.type ?? 'text/plain; charset=utf-8',
      'Content-Length': Buffer.byteLength(answer.body),
    });
    response.end(answer.body);
  };

  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: limits.requestMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.idleMs,
      connectionsCheckingInterval: Math.min(limits.requestMs, 500),
    },
    (request, response) => void handle(request, response),
  );
  server.on('connection', (socket: Socket) => {
    sockets.set(socket, 'idle');
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    socket.setTimeout(limits.idleMs, () => socket.destroy());
    if (sockets.size <= limits.maxConnections) return;
    // Whoever sends a whole request at once is served, however many hold a place and say nothing.
    const [given = socket] = [...sockets].find(([, state]) => state !== 'judged') ?? [];
    sockets.delete(given);
    given.destroy();
  });
  server.on('clientError', (_, socket) => socket.destroy());

  if (await answers(socketPath)) {
    return refuse('STATE_LOCKED', `${socketPath}: another witness answers there`);
  }
  const listening = Promise.withResolvers<unknown>();
  server.on('error', listening.resolve);
  try {
    // A witness that was killed left its socket.
    await rm(socketPath, { force: true });
    // Who may come here is decided by the folder, whose owner is another than who comes.
    server.listen({ path: socketPath, readableAll: true, writableAll: true }, () =>
      listening.resolve(undefined),
    );
  } catch (error) {
    listening.resolve(error);
  }
  const error = await listening.promise;
  if (error !== undefined) return stateRefusal(socketPath, error);
  return accept({
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets.keys()) socket.destroy();
      await closed;
    },
  });
}
