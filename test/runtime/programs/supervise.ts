import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CiPublicKey } from '#runtime/images/sign.ts';
import { storeImage } from '#runtime/images/store.ts';
import { launch } from '#runtime/launcher/launch.ts';
import { findLifeline, type Lifeline } from '#runtime/launcher/lifeline.ts';
import { createNatsServer } from '#runtime/launcher/nats-server.ts';
import { openRunFolder } from '#runtime/run-folder.ts';
import { createSupervisor } from '#runtime/supervisor/supervisor.ts';
import { startMessage, value } from '../support.ts';

/** A supervisor of its own, for tests that kill it: a broker and workers that hold a witness. */
export interface SuperviseOrder {
  readonly run: string;
  readonly image: string;
  readonly natsServer: string;
  readonly witness: string;
  readonly workers: number;
  readonly task?: 'idle' | 'busy';
  /** As on a system without setpriv. */
  readonly lifeline?: 'pipe';
}

const NO_KEYS: readonly CiPublicKey[] = [];

async function supervise(order: SuperviseOrder): Promise<void> {
  const run = value(await openRunFolder({ path: order.run, id: 'run', tempDir: '/tmp' }));
  const image = value(await storeImage(order.image, run.store, NO_KEYS));
  const lifeline: Lifeline = order.lifeline === 'pipe' ? { kind: 'pipe' } : await findLifeline();
  const broker = createNatsServer({
    program: order.natsServer,
    folder: run.nats,
    logs: run.logs,
    lifeline,
    render: (port, files) =>
      `host: "127.0.0.1"\nport: ${port}\nports_file_dir: "${files.portsFolder}"\npid_file: "${files.pidFile}"\njetstream { store_dir: "${files.storeFolder}" }\n`,
  });
  const context = {
    node: process.execPath,
    store: run.store,
    logs: run.logs,
    lifeline,
    attest: async () => ({ ok: true, value: {} }) as const,
    exited: () => {},
  };
  const names = Array.from({ length: order.workers }, (_, index) => `worker-${index}`);
  const supervisor = createSupervisor({
    plan: [
      { kind: 'process', name: 'nats-server', after: [], start: () => broker.start() },
      ...names.map((name) => ({
        kind: 'process' as const,
        name,
        after: ['nats-server'],
        start: () =>
          launch(
            {
              name,
              image,
              hardening: 'sealed',
              start: () => startMessage({ task: order.task ?? 'idle', witness: order.witness }),
            },
            context,
          ),
      })),
    ],
    now: () => new Date(),
    random: Math.random,
  });
  value(await supervisor.start());
  process.on('message', (message) => {
    if (message === 'kill the broker') {
      process.kill(Number(readFileSync(join(run.nats, 'nats-server.pid'), 'utf8')), 'SIGKILL');
    }
    // Without setpriv the process that the supervisor started is a shell.
    if (message === 'kill its process') {
      process.kill(supervisor.process('nats-server')?.pid ?? 0, 'SIGKILL');
    }
    if (message === 'stop') {
      void supervisor
        .stop()
        .then(() => run.close())
        .then(() => process.exit(0));
    }
  });
  supervisor.onEvent((event) => process.send?.({ event }));
  process.send?.({ ready: true, port: broker.port(), path: run.path });
}

process.once('message', (order: SuperviseOrder) => void supervise(order));
