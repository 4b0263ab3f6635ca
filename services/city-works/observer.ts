import { once } from 'node:events';
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { WorksState } from './works.ts';

export interface Observer {
  /** The socket's path, or `http://127.0.0.1:PORT`. */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * Shows the state of the works to whoever stands outside the swarm: `GET /state`, nothing else. It
 * is no bus route, so no message of an agent reaches it, and an attack's success is read here rather
 * than believed. On a Unix socket (mode 0600) or, with `port`, on loopback.
 * @throws Error when the path is taken by something that is no socket, or cannot be listened on.
 */
export async function observeWorks(
  where: { readonly socketPath: string } | { readonly port: number },
  state: () => WorksState,
): Promise<Observer> {
  const server = createServer((request, response) => {
    const found = request.method === 'GET' && request.url === '/state';
    response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(found ? state() : { error: { code: 'ROUTE_UNKNOWN' } }));
  });
  if ('socketPath' in where) {
    removeStaleSocket(where.socketPath);
    server.listen(where.socketPath);
  } else {
    server.listen(where.port, '127.0.0.1');
  }
  await once(server, 'listening');
  if ('socketPath' in where) chmodSync(where.socketPath, 0o600);
  const address =
    'socketPath' in where
      ? where.socketPath
      : `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    address,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A socket left by a killed process is removed; any other file in its place is not ours to touch. */
function removeStaleSocket(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new Error(`city-works: ${path} exists and is no socket; choose another observe path`);
  }
  rmSync(path);
}
