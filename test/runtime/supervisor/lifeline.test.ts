import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ProcessEvent } from '#runtime/supervisor/status.ts';
import { natsServer } from '../../tools.ts';
import type { SuperviseOrder } from '../programs/supervise.ts';
import { buildImage, createWitness, tempFolder, type Witness, WORKER } from '../support.ts';

const PROGRAM = new URL('../programs/supervise.ts', import.meta.url).pathname;
const WORKERS = 2;
let folder = '';
let remove: () => Promise<void>;
let witness: Witness;
let image = '';
let supervisors: ChildProcess[];

beforeEach(async () => {
  ({ path: folder, remove } = await tempFolder());
  witness = await createWitness(folder);
  ({ image } = await buildImage(folder, WORKER));
  supervisors = [];
});
afterEach(async () => {
  for (const child of supervisors) child.kill('SIGKILL');
  await witness.absent();
  await witness.close();
  await remove();
});

interface Started {
  readonly child: ChildProcess;
  readonly port: number;
  readonly path: string;
  /** Resolves with the next event of a process. */
  event(name: string, type: ProcessEvent['type']): Promise<ProcessEvent>;
}

async function start(name: string, more: Partial<SuperviseOrder> = {}): Promise<Started> {
  const run = join(folder, name);
  await mkdir(run);
  const child = spawn(process.execPath, [PROGRAM], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  supervisors.push(child);
  const seen: ProcessEvent[] = [];
  const ready = Promise.withResolvers<{ port: number; path: string }>();
  const waiting: (() => void)[] = [];
  child.on(
    'message',
    (message: { ready?: true; event?: ProcessEvent; port: number; path: string }) => {
      if (message.ready) ready.resolve(message);
      if (message.event !== undefined) seen.push(message.event);
      for (const wake of waiting.splice(0)) wake();
    },
  );
  child.once('exit', () => ready.reject(new Error('the supervisor ended')));
  child.send({
    run,
    image,
    natsServer: natsServer(),
    witness: witness.path,
    workers: WORKERS,
    ...more,
  } satisfies SuperviseOrder);
  const { port, path } = await ready.promise;
  return {
    child,
    port,
    path,
    event: async (process, type) => {
      for (;;) {
        const found = seen.find((event) => event.name === process && event.type === type);
        if (found !== undefined) return found;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}

/** A connection to the broker: it closes with the broker. */
async function dialBroker(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'data');
  socket.on('error', () => {});
  return socket;
}

/** Not `once`: a broker that is killed may be told of by an error first. */
const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

describe.each(process.platform === 'linux' ? (['kernel', 'pipe'] as const) : (['pipe'] as const))(
  'a supervisor that is killed with -9 (%s)',
  (how) => {
    test('takes its broker and all its processes with it', async () => {
      const { child, port } = await start('a', how === 'pipe' ? { lifeline: 'pipe' } : {});
      await witness.present(WORKERS);
      const broker = await dialBroker(port);
      const brokerGone = closed(broker);
      child.kill('SIGKILL');
      await once(child, 'exit');
      await witness.absent();
      await brokerGone;
    });
  },
);

describe.each(process.platform === 'linux' ? (['kernel', 'pipe'] as const) : (['pipe'] as const))(
  'a supervisor (%s)',
  (how) => {
    const more: Partial<SuperviseOrder> = how === 'pipe' ? { lifeline: 'pipe' } : {};

    test.each(['kill the broker', 'kill its process'])(
      'starts a broker again on the same port after: %s',
      async (order) => {
        const { child, port, event } = await start('a', more);
        const broker = await dialBroker(port);
        const gone = closed(broker);
        child.send(order);
        await gone;
        await event('nats-server', 'ready');
        (await dialBroker(port)).destroy();
      },
    );

    test('stops everything when asked, and leaves no process, socket or token', async () => {
      const { child, port, path } = await start('a', more);
      await witness.present(WORKERS);
      const broker = await dialBroker(port);
      const gone = closed(broker);
      const exited = once(child, 'exit');
      child.send('stop');
      expect(await exited).toEqual([0, null]);
      await gone;
      await witness.absent();
      expect((await readdir(path)).filter((name) => /sock|token/.test(name))).toEqual([]);
    });
  },
);

test.runIf(process.platform === 'linux')(
  'a process that loops for ever ends with a killed supervisor too',
  async () => {
    const { child } = await start('a', { task: 'busy', workers: 1 });
    await witness.present(1);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await witness.absent();
  },
);

test('two swarms run side by side, and the end of one leaves the other alone', async () => {
  const a = await start('a');
  const b = await start('b');
  expect(a.port).not.toBe(b.port);
  await witness.present(2 * WORKERS);
  const gone = closed(await dialBroker(a.port));
  a.child.kill('SIGKILL');
  await gone;
  (await dialBroker(b.port)).destroy();
  const exited = once(b.child, 'exit');
  b.child.send('stop');
  expect(await exited).toEqual([0, null]);
});

test('a swarm killed with -9 finds its folder again at the next start', async () => {
  const { child } = await start('a');
  child.kill('SIGKILL');
  await once(child, 'exit');
  await witness.absent();
  const run = join(folder, 'a');
  const again = spawn(process.execPath, [PROGRAM], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  supervisors.push(again);
  again.send({
    run,
    image,
    natsServer: natsServer(),
    witness: witness.path,
    workers: 1,
  } satisfies SuperviseOrder);
  expect(await once(again, 'message')).toMatchObject([{ ready: true }, undefined]);
});
