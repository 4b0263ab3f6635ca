import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net';

/** A collector on loopback; `received` holds the bodies of the requests that came in whole. */
export interface TestCollector {
  readonly url: string;
  readonly received: string[];
  readonly requests: () => number;
  close(): Promise<void>;
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export async function httpCollector(answer: Answer): Promise<TestCollector> {
  const received: string[] = [];
  let requests = 0;
  const server = createServer(async (request, response) => {
    requests += 1;
    response.on('error', () => {});
    try {
      let body = '';
      for await (const chunk of request) body += String(chunk);
      received.push(body);
    } catch {
      return;
    }
    answer(request, response);
  });
  const port = await listening(server);
  return {
    url: `http://127.0.0.1:${port}/v1/traces`,
    received,
    requests: () => requests,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A server of connections, not of requests. */
export async function tcpCollector(on: (socket: Socket) => void): Promise<TestCollector> {
  const sockets = new Set<Socket>();
  const server = createTcp((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    on(socket);
  });
  const port = await listening(server);
  return {
    url: `http://127.0.0.1:${port}/v1/traces`,
    received: [],
    requests: () => sockets.size,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** `fetch`, and the number of its answers: a collector that closes waits a second for the last. */
export function counting() {
  let answers = 0;
  const counted: typeof fetch = async (...request) => {
    const answer = await fetch(...request);
    answers += 1;
    return answer;
  };
  return { fetch: counted, answers: () => answers };
}

/** A port on which nobody listens. */
export async function deadCollector(): Promise<TestCollector> {
  const one = await tcpCollector(() => {});
  await one.close();
  return { ...one, close: async () => {} };
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Whatever a collector can do that is no help. */
export const HOSTILE: readonly (readonly [string, () => Promise<TestCollector>])[] = [
  ['nobody listens', deadCollector],
  [
    'it answers 500',
    () => httpCollector((_request, response) => response.writeHead(500).end('no')),
  ],
  [
    'it asks to come back in an hour',
    () =>
      httpCollector((_request, response) =>
        response.writeHead(503, { 'retry-after': '3600' }).end(),
      ),
  ],
  ['it takes the request and says nothing', () => httpCollector(() => {})],
  ['it takes the connection and reads nothing', () => tcpCollector((socket) => socket.pause())],
  [
    'it answers one byte at a time, for ever',
    () =>
      tcpCollector((socket) => {
        socket.resume();
        const timer = setInterval(() => socket.write('H'), 50);
        socket.on('close', () => clearInterval(timer));
      }),
  ],
  [
    'it answers without end',
    () =>
      httpCollector((_request, response) => {
        response.writeHead(200);
        const timer = setInterval(() => response.write('x'.repeat(65_536)), 5);
        response.on('close', () => clearInterval(timer));
      }),
  ],
  ['it closes the connection', () => tcpCollector((socket) => socket.destroy())],
  [
    'it sends the spans somewhere else',
    () =>
      httpCollector((_request, response) =>
        response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
      ),
  ],
];
