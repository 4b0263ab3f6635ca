import { chmodSync, lstatSync, mkdirSync, statSync, unlinkSync } from 'node:fs';
import {
  constants,
  createServer as createHttp2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect, createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Peer, PeerCredentials } from '../attestors/peer.ts';
import { type Outcome, refuse } from '../outcome.ts';
import type { IssuerCode } from './codes.ts';
import { leastEntitled } from './room.ts';

/** One accepted connection and who opened it, as read before its first byte. */
export interface Connection {
  readonly peer: Outcome<Peer, IssuerCode>;
  /** Monotonic milliseconds (`performance.now`). */
  readonly acceptedAt: number;
  /** Streams that are open now. */
  streams: number;
  /** Whether its last question was answered with something: it has an identity here. */
  attested: boolean;
  drop(): void;
}

export interface ConnectionLimits {
  /** When there are as many, those of callers without an identity make room. */
  readonly connections: number;
  readonly connectionsPerProcess: number;
  readonly streamsPerConnection: number;
  /** A connection without a stream is closed after this. */
  readonly idleMs: number;
  /** How long a process may be ahead of the launcher's word about it, from its connecting. */
  readonly graceMs: number;
  /**
   * A reader that takes longer over one message loses its connection; a request, or the next question
   * of a reflection stream, that takes longer to come ends its stream.
   */
  readonly slowReaderMs: number;
  /** The least time between two messages of one stream; a refusal never waits. */
  readonly pushGapMs: number;
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  connections: 4096,
  connectionsPerProcess: 64,
  streamsPerConnection: 16,
  idleMs: 30_000,
  graceMs: 2000,
  slowReaderMs: 15_000,
  pushGapMs: 20,
};

/** A swarm that starts connects at once; a full queue would refuse whom the limits allow. */
const BACKLOG = 4096;

/** How long a listener that closes lets its callers read what they were told. */
const LAST_WORDS_MS = 200;

export interface ListenOptions {
  readonly socketPath: string;
  /** Default 0600: workloads run under the issuer's uid. 0666 when roles have their own. */
  readonly socketMode?: number | undefined;
  readonly credentials: PeerCredentials;
  readonly limits: ConnectionLimits;
  readonly handle: (
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    connection: Connection,
  ) => void;
}

/** Node has no public way to a socket's descriptor; without one the peer stays unknown. */
function descriptorOf(socket: Socket): number | undefined {
  const { _handle } = socket as unknown as { _handle?: { fd?: unknown } | null };
  const fd = _handle?.fd;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

function readPeer(socket: Socket, credentials: PeerCredentials): Outcome<Peer, IssuerCode> {
  const fd = descriptorOf(socket);
  return fd === undefined
    ? refuse('PEER_UNREADABLE', 'the socket has no descriptor')
    : credentials.read(fd);
}

/** Removes what a killed issuer left; refuses what is no socket, or answers. */
async function clearPath(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`STATE_UNREADABLE: ${path} exists and is not a socket`);
  const answers = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.on('connect', () => resolve(true));
    probe.on('error', () => resolve(false));
    probe.on('connect', () => probe.destroy());
  });
  if (answers) throw new Error(`STATE_UNREADABLE: another process listens on ${path}`);
  unlinkSync(path);
}

function makeFolder(folder: string, shared: boolean): void {
  mkdirSync(folder, { recursive: true, mode: shared ? 0o711 : 0o700 });
  // Who may write in the folder could put a socket of their own in this one's place.
  if ((statSync(folder).mode & 0o022) !== 0) {
    throw new Error(`STATE_UNREADABLE: others may write in ${folder}; chmod go-w it`);
  }
}

/** HTTP/2 without TLS (E-03) on a Unix socket; each request comes with its connection's peer. */
export async function listenOnSocket(options: ListenOptions): Promise<{ close(): Promise<void> }> {
  const { socketPath, credentials, handle, limits } = options;
  const mode = options.socketMode ?? 0o600;
  const open = new Map<Socket, Connection>();
  const sessions = new Map<ServerHttp2Session, Connection>();

  const http2 = createHttp2Server({
    maxSessionMemory: 1,
    settings: { maxConcurrentStreams: limits.streamsPerConnection, maxHeaderListSize: 16_384 },
  });
  // A broken session ends itself; without a listener it would end the process.
  http2.on('sessionError', () => {});
  http2.on('stream', (stream, headers) => {
    const session = stream.session;
    const connection =
      session === undefined ? undefined : sessions.get(session as ServerHttp2Session);
    if (connection === undefined) {
      stream.destroy();
      return;
    }
    // The setting above binds a client only once it has read it; this binds every client.
    if (connection.streams >= limits.streamsPerConnection) {
      stream.on('error', () => {});
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    connection.streams += 1;
    stream.once('close', () => {
      connection.streams -= 1;
    });
    handle(stream, headers, connection);
  });

  const perProcess = new Map<number, number>();
  const countOf = (pid: number): number => perProcess.get(pid) ?? 0;
  /** @returns whether there is no room: this process, or those with an identity, have all of it */
  const crowded = (pid: number): boolean => {
    if (countOf(pid) >= limits.connectionsPerProcess) return true;
    if (open.size < limits.connections) return false;
    const victim = leastEntitled(open.values());
    victim?.drop();
    return victim === undefined;
  };

  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    const peer = readPeer(socket, credentials);
    const pid = peer.ok ? peer.value.pid : 0;
    if (crowded(pid)) {
      if (peer.ok) peer.value.close();
      socket.destroy();
      return;
    }
    // At once, and not when the socket has closed: the next one that comes needs the room.
    const forget = (): void => {
      if (!open.delete(socket)) return;
      clearInterval(idle);
      if (countOf(pid) > 1) perProcess.set(pid, countOf(pid) - 1);
      else perProcess.delete(pid);
    };
    const connection: Connection = {
      peer,
      acceptedAt: performance.now(),
      streams: 0,
      attested: false,
      drop: () => {
        forget();
        socket.destroy();
      },
    };
    open.set(socket, connection);
    perProcess.set(pid, countOf(pid) + 1);
    const idle = setInterval(() => {
      if (connection.streams === 0) socket.destroy();
    }, limits.idleMs);
    socket.once('close', () => {
      forget();
      if (peer.ok) peer.value.close();
    });
    // The session is made inside this call: its peer is known before HTTP/2 reads a byte, and no
    // other socket's session can be taken for it.
    const capture = (session: ServerHttp2Session): void => {
      sessions.set(session, connection);
      session.once('close', () => sessions.delete(session));
    };
    http2.once('session', capture);
    http2.emit('connection', socket);
    http2.off('session', capture);
  });

  makeFolder(dirname(socketPath), mode !== 0o600);
  await clearPath(socketPath);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path: socketPath, backlog: BACKLOG }, resolve);
  });
  chmodSync(socketPath, mode);

  return {
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // What was said last still leaves, to those who read.
      for (const session of sessions.keys()) session.close();
      const late = setTimeout(() => {
        for (const socket of open.keys()) socket.destroy();
      }, LAST_WORDS_MS);
      await closed;
      clearTimeout(late);
    },
  };
}
