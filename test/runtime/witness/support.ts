import { createHash } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { WitnessRequest } from '#custody/log/witness.ts';
import type { WitnessLimits } from '#runtime/witness/server.ts';
import { startWitness, type WitnessService } from '#runtime/witness/service.ts';
import { logSigner, ORIGIN, type testLog } from '#test/custody/log/support.ts';
import { tempFolder, value } from '../support.ts';

export const KEY_NAME = 'city.example/witness-1';
export type Log = ReturnType<typeof testLog>;

export const entries = (count: number, mark = '') =>
  Array.from({ length: count }, (_, index) => `entry ${index}${mark}`);

export function request(log: Log, oldSize: number, size = log.tree.size()): WitnessRequest {
  const proof = oldSize <= size ? log.tree.consistency(oldSize, size) : [];
  return { oldSize, proof, checkpoint: log.head(size) };
}

/** Far above what a request takes here. */
const PATIENT: Partial<WitnessLimits> = { requestMs: 60_000, idleMs: 60_000 };

export interface Place {
  readonly folder: string;
  readonly socketPath: string;
  readonly cosigned: number[];
  readonly forks: string[];
  open(more?: {
    readonly pinned?: string;
    readonly limits?: Partial<WitnessLimits>;
  }): ReturnType<typeof startWitness>;
  /** @throws Error when it does not start */
  start(more?: Parameters<Place['open']>[0]): Promise<WitnessService>;
}

/** Where one witness lives, for as long as a test lasts. */
export function places() {
  const undo: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });
  return async (): Promise<Place> => {
    const { path, remove } = await tempFolder();
    undo.push(remove);
    const cosigned: number[] = [];
    const forks: string[] = [];
    const place: Place = {
      folder: path,
      socketPath: join(path, 's'),
      cosigned,
      forks,
      open: (more = {}) =>
        startWitness({
          keyName: KEY_NAME,
          folder: path,
          socketPath: place.socketPath,
          logs: new Map([[ORIGIN, [logSigner.verifier]]]),
          clock: Date.now,
          onCosigned: (size) => cosigned.push(size),
          onFork: (origin) => forks.push(origin),
          limits: PATIENT,
          ...more,
        }),
      start: async (more) => {
        const witness = value(await place.open(more));
        undo.push(() => witness.close());
        return witness;
      },
    };
    return place;
  };
}

export interface Reply {
  readonly status: number;
  readonly type: string | undefined;
  readonly body: string;
}

/** A request as any HTTP client makes it. */
export function ask(
  socketPath: string,
  { method = 'GET', path, body }: { method?: string; path: string; body?: string | Buffer },
): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const outgoing = httpRequest({ socketPath, path, method, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', reject);
    response.on('end', () =>
      resolve({
        status: response.statusCode ?? 0,
        type: response.headers['content-type'],
        body: Buffer.concat(chunks).toString('utf8'),
      }),
    );
  });
  outgoing.on('error', reject);
  outgoing.end(body);
  return promise;
}

export const checkpointPath = (origin: string): string =>
  `/${createHash('sha256').update(origin).digest('hex')}/checkpoint`;
