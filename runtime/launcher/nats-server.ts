import { watch } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { stateRefusal } from '../file-errors.ts';
import type { Uids } from './isolation.ts';
import type { Lifeline } from './lifeline.ts';
import { giveFolder } from './ownership.ts';
import { launchProgram } from './program.ts';
import type { RunningProcess } from './running.ts';

export interface NatsServerFiles {
  readonly portsFolder: string;
  readonly pidFile: string;
  readonly storeFolder: string;
}

export interface NatsServerOptions {
  /** Absolute path of the program. */
  readonly program: string;
  /** The run's `nats/`. */
  readonly folder: string;
  readonly logs: string;
  readonly lifeline: Lifeline;
  /** Given, the broker has a uid of its own, and the folder with all in it. */
  readonly uids?: Uids | undefined;
  /** Each line of its log. */
  readonly onLine?: (line: string) => void;
  /** The configuration's text; `port` is -1 at first, then the port that was found. */
  readonly render: (port: number, files: NatsServerFiles) => string;
}

export interface NatsServer {
  /** Starts the broker; at every start after the first on the same port. */
  start(): Promise<Outcome<RunningProcess, 'SPAWN_FAILED' | 'STATE_UNWRITABLE' | 'STATE_FULL'>>;
  /** The port of the last start; undefined before it was ready. */
  port(): number | undefined;
}

const PROGRAM = 'nats-server';
const portsFile = z.object({ nats: z.array(z.string()).min(1) });

async function readPort(folder: string): Promise<number | undefined> {
  try {
    for (const name of await readdir(folder)) {
      if (!name.endsWith('.ports')) continue;
      const { nats } = portsFile.parse(JSON.parse(await readFile(join(folder, name), 'utf8')));
      const port = Number(new URL(nats[0] ?? '').port);
      if (Number.isInteger(port) && port > 0) return port;
    }
  } catch {
    // Half written: the next change is looked at again.
  }
  return undefined;
}

/** The broker as a supervised program: it writes its ports file when it listens. */
export function createNatsServer(options: NatsServerOptions): NatsServer {
  const files: NatsServerFiles = {
    portsFolder: join(options.folder, 'ports'),
    pidFile: join(options.folder, 'nats-server.pid'),
    storeFolder: join(options.folder, 'jetstream'),
  };
  let port: number | undefined;

  const untilReady = async (_pid: number, signal: AbortSignal): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const look = (): void => {
      void readPort(files.portsFolder).then((found) => found !== undefined && resolve(found));
    };
    const watcher = watch(files.portsFolder, look);
    watcher.on('error', reject);
    signal.addEventListener('abort', () => reject(new Error('ended')));
    look();
    try {
      port = await promise;
    } finally {
      watcher.close();
    }
  };

  return {
    port: () => port,
    start: async () => {
      const configPath = join(options.folder, 'nats-server.conf');
      try {
        await rm(files.portsFolder, { recursive: true, force: true });
        for (const folder of [files.portsFolder, files.storeFolder]) {
          await mkdir(folder, { recursive: true, mode: 0o700 });
        }
        // Made anew, never written through: the broker's uid may have put a link here.
        await rm(configPath, { force: true });
        const text = options.render(port ?? -1, files);
        await writeFile(configPath, text, { mode: 0o600, flag: 'wx' });
        if (options.uids !== undefined) await giveFolder(options.folder, options.uids.of(PROGRAM));
      } catch (error) {
        return stateRefusal(options.folder, error);
      }
      const started = await launchProgram({
        name: PROGRAM,
        program: options.program,
        args: ['-c', configPath],
        cwd: options.folder,
        logs: options.logs,
        lifeline: options.lifeline,
        uids: options.uids,
        ...(options.onLine !== undefined && { onLine: options.onLine }),
        untilReady,
      });
      return started.ok ? accept(started.value) : refuse('SPAWN_FAILED', started.detail);
    },
  };
}
