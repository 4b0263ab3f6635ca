import { constants, createPrivateKey, hash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { bundleFromCertificates, bundleSet, certificatesToPem } from '../bundle.ts';
import { readJson } from '../json.ts';
import {
  EXPORTER,
  MAX_NODE_REQUEST_BYTES,
  NODE_PATHS,
  readAttestRequest,
  readKeyRequest,
  readSvidRequests,
  readTokenRequest,
  readWatchRequest,
  serverId,
  WATCH_SECONDS,
} from '../node/protocol.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { pathOf, spiffeId } from '../spiffe-id.ts';
import { peerOf } from '../tls.ts';
import type { Authorities } from './authorities.ts';
import type { Changes } from './changes.ts';
import type { IssuerCode } from './codes.ts';
import { writeEntriesJson } from './entry-json.ts';
import type { IssuedJwt } from './jwt-svids.ts';
import type { Leaf, LeafRequest } from './leaf.ts';
import type { Node, NodeService } from './node-service.ts';
import { createKeyMaker } from './workload-key.ts';

/** The door for agents on other machines. It is shut until there is somebody to let in. */
export interface NodeServer {
  /** Opens it, if it is not open there already. @returns where, as `host:port` */
  open(listen: string): Promise<Outcome<string, IssuerCode>>;
  address(): string | undefined;
  /** A new server certificate; before the old one has ended. */
  renew(): void;
  close(): Promise<void>;
}

export interface NodeServerOptions {
  readonly service: NodeService;
  readonly authorities: Authorities;
  readonly trustDomain: string;
  readonly clock: () => Date;
  /** A certificate for the server itself, logged like every other. */
  readonly mint: (request: LeafRequest) => Outcome<Leaf, IssuerCode>;
  /** What the launcher is told of each caller that is refused. */
  readonly refused: (from: string, code: string, detail: string) => void;
  /** SPIFFE bundle document, which every answer brings along. */
  readonly bundle: () => string;
  /** Wakes those who ask for news, when there may be some. */
  readonly changes: Changes;
}

type Answer = Outcome<object>;

/** Of each context: a new one without them would forget them. XV-05: a resumed session has no chain. */
const TLS_OPTIONS = { minVersion: 'TLSv1.3', secureOptions: constants.SSL_OP_NO_TICKET } as const;

const SERVER_TTL_SECONDS = 24 * 3600;
const AGENT_PATH = '/spire/agent/';
const MAX_CONNECTIONS = 256;
/** No process of this machine has this PID. */
const NO_PROCESS = 0;
const LISTEN = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+):([0-9]{1,5})$/;
/** What went wrong is in the body, by its code; these are for whoever reads only a status. */
const STATUS: Partial<Record<string, number>> = {
  NODE_REQUEST_INVALID: 400,
  NODE_UNKNOWN: 401,
  NODE_UNVERIFIED: 401,
};

function certified(leaf: Leaf): object {
  return {
    id: leaf.id,
    chain: [Buffer.from(leaf.certificate).toString('base64')],
    notAfter: leaf.notAfter.toISOString(),
  };
}

const worded = (made: Outcome<IssuedJwt>): Answer =>
  made.ok ? accept({ token: made.value.token }) : made;

async function bodyOf(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > MAX_NODE_REQUEST_BYTES) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

export function createNodeServer(options: NodeServerOptions): NodeServer {
  const { service, authorities, trustDomain, clock } = options;
  let server: Server | undefined;
  let listening: string | undefined;

  const context = (): Outcome<{ cert: string; key: string }, IssuerCode> => {
    const { spki: publicKey, pkcs8 } = createKeyMaker()();
    const id = spiffeId(serverId(trustDomain));
    const leaf = options.mint({ id, publicKey, ttlSeconds: SERVER_TTL_SECONDS });
    if (!leaf.ok) return leaf;
    const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
      .export({ type: 'pkcs8', format: 'pem' })
      .toString();
    return accept({ cert: certificatesToPem([leaf.value.certificate]), key });
  };

  /** XV-05: TLS asks for a certificate and judges none; here it is judged, before a byte is read. */
  const nodeOf = (socket: TLSSocket): Outcome<Node> => {
    const bundle = bundleFromCertificates(trustDomain, authorities.bundle());
    if (!bundle.ok) return bundle;
    const isAgent = (id: Parameters<typeof pathOf>[0]) => pathOf(id).startsWith(AGENT_PATH);
    const peer = peerOf(socket, bundleSet([bundle.value]), isAgent, clock());
    // Clocks that differ, authorities that changed: no word on whether the node has joined.
    if (!peer.ok) return refuse('NODE_UNVERIFIED', `${peer.code}: ${peer.detail}`);
    const node = { id: peer.value.id, serial: peer.value.serial.toLowerCase() };
    const present = service.present(node);
    return present.ok ? accept(node) : present;
  };

  /** What there is for a node, and a mark by which it says later that it knows this. */
  const newsFor = (node: Node) => {
    const news = { entries: service.entriesOf(node), bundle: options.bundle() };
    return { ...news, mark: hash('sha256', JSON.stringify(news), 'base64url') };
  };
  const watch = async (socket: TLSSocket, node: Node, mark: string): Promise<Answer> => {
    const subscription = options.changes.subscribe(NO_PROCESS);
    socket.once('close', subscription.end);
    const end = performance.now() + WATCH_SECONDS * 1000;
    try {
      for (;;) {
        // It may have been evicted while it waited.
        const present = service.present(node);
        if (!present.ok) return present;
        const news = newsFor(node);
        const left = end - performance.now();
        if (news.mark !== mark || left <= 0 || socket.destroyed) return accept(news);
        await subscription.next(left);
      }
    } finally {
      subscription.end();
      socket.off('close', subscription.end);
    }
  };

  const perform = (
    path: string | undefined,
    socket: TLSSocket,
    body: Uint8Array,
  ): Answer | Promise<Answer> => {
    const malformed = refuse('NODE_REQUEST_INVALID', 'the body is not what this path takes');
    const json = readJson(body, { maxBytes: MAX_NODE_REQUEST_BYTES });
    const exported = socket.exportKeyingMaterial(EXPORTER.length, EXPORTER.label, Buffer.alloc(0));
    const bundle = { bundle: options.bundle() };
    if (path === NODE_PATHS.attest) {
      const request = readAttestRequest(json);
      if (request === undefined) return malformed;
      const leaf = service.attest(request, exported);
      return leaf.ok ? accept({ ...certified(leaf.value), ...bundle }) : leaf;
    }
    const node = nodeOf(socket);
    if (!node.ok) return node;
    switch (path) {
      case NODE_PATHS.entries:
        return accept({ ...writeEntriesJson(service.entriesOf(node.value)), ...bundle });
      case NODE_PATHS.renew: {
        const request = readKeyRequest(json);
        if (request === undefined) return malformed;
        const leaf = service.renew(node.value, request, exported);
        return leaf.ok ? accept({ ...certified(leaf.value), ...bundle }) : leaf;
      }
      case NODE_PATHS.svids: {
        const requests = readSvidRequests(json);
        if (requests === undefined) return malformed;
        const made = service.svids(node.value, requests, exported);
        if (!made.ok) return made;
        const svids = made.value.map(({ entryId, leaf }) => ({ entryId, ...certified(leaf) }));
        return accept({ svids, ...bundle });
      }
      case NODE_PATHS.watch: {
        const mark = readWatchRequest(json);
        return mark === undefined ? malformed : watch(socket, node.value, mark);
      }
      case NODE_PATHS.tokens: {
        const request = readTokenRequest(json);
        return request === undefined ? malformed : service.token(node.value, request).then(worded);
      }
      default:
        return refuse('NODE_REQUEST_INVALID', 'there is no such path');
    }
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const socket = request.socket as TLSSocket;
    const from = String(socket.remoteAddress);
    const body = request.method === 'POST' ? await bodyOf(request) : undefined;
    const answer: Answer =
      body === undefined
        ? refuse('NODE_REQUEST_INVALID', 'a request is a POST of at most 64 KiB of JSON')
        : await perform(request.url, socket, body);
    if (!answer.ok) options.refused(from, answer.code, answer.detail);
    const { status, text } = answer.ok
      ? { status: 200, text: JSON.stringify(answer.value) }
      : {
          status: STATUS[answer.code] ?? 403,
          text: JSON.stringify({ code: answer.code, detail: answer.detail }),
        };
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(text);
  };

  const listen = async (host: string, port: number): Promise<Outcome<string, IssuerCode>> => {
    const material = context();
    if (!material.ok) return material;
    const fresh = createServer({
      ...material.value,
      ...TLS_OPTIONS,
      requestCert: true,
      // A node that joins has no certificate yet; who has one is judged in `nodeOf`.
      rejectUnauthorized: false,
      handshakeTimeout: 5000,
      headersTimeout: 5000,
      requestTimeout: 10_000,
      keepAliveTimeout: 10_000,
      maxHeaderSize: 8192,
    });
    fresh.maxConnections = MAX_CONNECTIONS;
    fresh.on('request', (request, response) => {
      // A caller that breaks off: there is nobody left to tell.
      handle(request, response).catch(() => request.socket.destroy());
    });
    fresh.on('tlsClientError', (_error, socket) => socket.destroy());
    fresh.on('clientError', (_error, socket) => socket.destroy());
    const bound = Promise.withResolvers<string | undefined>();
    fresh.once('error', (error: NodeJS.ErrnoException) => bound.resolve(error.code ?? 'error'));
    fresh.listen(port, host.replace(/^\[|\]$/g, ''), () => bound.resolve(undefined));
    const error = await bound.promise;
    if (error !== undefined) {
      return refuse('NODE_ENDPOINT_UNUSABLE', `${host}:${port}: ${error}; choose another`);
    }
    fresh.on('error', () => {});
    server = fresh;
    listening = `${host}:${(fresh.address() as AddressInfo).port}`;
    return accept(listening);
  };
  const end = async (open: Server | undefined): Promise<void> => {
    if (open === undefined) return;
    const closed = new Promise<void>((resolve) => open.close(() => resolve()));
    open.closeAllConnections();
    await closed;
  };

  return {
    open: async (where) => {
      const [, host, port] = LISTEN.exec(where) ?? [];
      if (host === undefined || Number(port) > 65_535) {
        return refuse('NODE_ENDPOINT_UNUSABLE', `"${where}" is not host:port`);
      }
      if (listening === where) return accept(where);
      // The old door stays open until there is a new one.
      const before = server;
      const opened = await listen(host, Number(port));
      if (opened.ok) await end(before);
      return opened;
    },
    address: () => listening,
    renew: () => {
      const material = context();
      if (material.ok) server?.setSecureContext({ ...material.value, ...TLS_OPTIONS });
    },
    close: async () => {
      const open = server;
      [server, listening] = [undefined, undefined];
      await end(open);
    },
  };
}
