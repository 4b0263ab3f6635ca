import { once } from 'node:events';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Outcome } from '#identity/outcome.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { createImageBuilder } from '#runtime/images/build.ts';
import { type CiPublicKey, createImageSigner } from '#runtime/images/sign.ts';
import { type StoredImage, storeImage } from '#runtime/images/store.ts';
import type { Hardening } from '#runtime/launcher/flags.ts';
import { type LaunchContext, type LaunchSpec, launch } from '#runtime/launcher/launch.ts';
import { findLifeline } from '#runtime/launcher/lifeline.ts';
import type { RunningProcess } from '#runtime/launcher/running.ts';
import type { FromChild, StartMessage } from '#runtime/process-protocol.ts';

const ROOT = new URL('../..', import.meta.url).pathname.replace(/\/$/, '');

export function value<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw new Error(`${outcome.code}: ${outcome.detail}`);
  return outcome.value;
}

/** A folder of the test's own, with the function that removes it. Its path is short and real. */
export async function tempFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'rt-')));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Program images built and signed as in production, in a cache below `folder`. */
export async function buildImage(
  folder: string,
  entry: string,
  name = 'worker',
): Promise<{ image: string; key: CiPublicKey }> {
  const builder = createImageBuilder(ROOT, join(folder, 'images'));
  const source = { name, version: '1', entry: join(ROOT, entry) };
  const image = value(await builder.build(source)).folder;
  const signer = value(await createImageSigner(join(folder, 'ci')));
  value(await signer.sign(image));
  return { image, key: signer.key };
}

export const WORKER = 'test/runtime/programs/worker.ts';

export function startMessage(config: unknown, more: Partial<StartMessage> = {}): StartMessage {
  const id = spiffeId('spiffe://city.example/agent/sensor/north/cam-1');
  const self = {
    id,
    token: 'sensor-cam-1',
    kind: 'agent',
    role: 'sensor',
    district: 'north',
    name: 'cam-1',
  } as const;
  return {
    type: 'start',
    self,
    members: [self],
    trustDomain: 'city.example',
    workloadSocket: '/none',
    config,
    ...more,
  };
}

export interface Bench {
  readonly folder: string;
  readonly image: StoredImage;
  readonly key: CiPublicKey;
  readonly context: LaunchContext;
  spec(config: unknown, hardening?: Hardening, more?: Partial<LaunchSpec>): LaunchSpec;
  /** Starts a worker that is killed when the bench is cleared away. */
  run(config: unknown, hardening?: Hardening, more?: Partial<LaunchSpec>): Promise<RunningProcess>;
  clear(): Promise<void>;
}

/** A launcher with one worker image; attestation is accepted unless the context says otherwise. */
export async function createBench(over: Partial<LaunchContext> = {}): Promise<Bench> {
  const { path: folder, remove } = await tempFolder();
  const { image: source, key } = await buildImage(folder, WORKER);
  const store = join(folder, 'store');
  const image = value(await storeImage(source, store, [key]));
  const context: LaunchContext = {
    node: await realpath(process.execPath),
    store,
    logs: folder,
    lifeline: await findLifeline(),
    attest: async () => ({ ok: true, value: {} }),
    exited: () => {},
    ...over,
  };
  const started: RunningProcess[] = [];
  const bench: Bench = {
    folder,
    image,
    key,
    context,
    spec: (config, hardening = 'sealed', more = {}) => ({
      name: 'worker',
      image,
      hardening,
      workload: {
        spiffeId: 'spiffe://city.example/agent/sensor/north/cam-1',
        agentType: 'sensor',
        instance: 'sensor-cam-1',
      },
      start: () => startMessage(config),
      ...more,
    }),
    run: async (config, hardening, more) => {
      const running = value(await launch(bench.spec(config, hardening, more), context));
      started.push(running);
      return running;
    },
    clear: async () => {
      for (const running of started) running.kill();
      await Promise.all(started.map((running) => running.exited));
      await remove();
    },
  };
  return bench;
}

/** Resolves with the next message of a type; fails when the process ends first. */
export function nextMessage<Type extends FromChild['type']>(
  running: RunningProcess,
  type: Type,
): Promise<Extract<FromChild, { type: Type }>> {
  const { promise, resolve, reject } = Promise.withResolvers<Extract<FromChild, { type: Type }>>();
  const stop = running.onMessage((message) => {
    if (message.type !== type) return;
    stop();
    resolve(message as Extract<FromChild, { type: Type }>);
  });
  void running.exited.then(({ detail }) => reject(new Error(`ended: ${detail}`)));
  return promise;
}

export interface Witness {
  readonly path: string;
  /** Resolves when so many processes have connected, with their PIDs. */
  present(count: number): Promise<readonly number[]>;
  /** Resolves when all who came are gone. */
  absent(): Promise<void>;
  close(): Promise<void>;
}

/** A socket that processes hold open: their end, however it came, closes it. */
export async function createWitness(folder: string): Promise<Witness> {
  const path = join(folder, 'witness.sock');
  const pids: number[] = [];
  const gone: Promise<unknown>[] = [];
  const waiting: (() => void)[] = [];
  const server = createServer((socket: Socket) => {
    gone.push(new Promise((resolve) => socket.once('close', resolve)));
    socket.on('error', () => {});
    socket.on('data', (data) => {
      pids.push(Number(data.toString()));
      for (const wake of waiting.splice(0)) wake();
    });
  });
  server.listen(path);
  await once(server, 'listening');
  return {
    path,
    present: async (count) => {
      while (pids.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
      return pids;
    },
    absent: async () => {
      await Promise.all(gone);
    },
    close: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}
