import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { accept } from '#identity/outcome.ts';
import { stateRefusal } from '../file-errors.ts';
import { followLines } from './follow-lines.ts';
import type { NatsServer, NatsServerFiles } from './nats-server.ts';
import { type ExitInfo, endProcess, NO_PID, type RunningProcess } from './running.ts';

/** The administrator's connection to the broker: each side has proven itself to the other. */
export interface BrokerSession {
  /** Makes the broker read its files again. */
  reload(): void;
  /** Resolves when the connection has ended, by whatever cause. */
  readonly closed: Promise<void>;
  close(): Promise<void>;
}

export interface OutsideBrokerOptions {
  /** The run's `nats/`, which the other side reads, and under the same path. */
  readonly folder: string;
  /** On 127.0.0.1, as the other side's own network has it. */
  readonly port: number;
  /** The configuration's text. One text is one life of the broker's keys: a new one is a new start. */
  readonly render: (port: number, files: NatsServerFiles) => string;
  /** Rejects with why, when what listens is not a broker that has this configuration. */
  readonly connect: (port: number, signal: AbortSignal) => Promise<BrokerSession>;
  readonly onLine?: (line: string) => void;
  /** How long something else may listen: the other side needs a moment to start its new broker. */
  readonly patienceMs?: number;
}

export const OUTSIDE_LOG = 'nats-server.log';
const CONFIG = 'nats-server.conf';
const PATIENCE_MS = 10_000;
const LOOK_EVERY_MS = 100;

/** Is anybody there? Says nothing about who. */
function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const settle = (there: boolean): void => {
      socket.destroy();
      resolve(there);
    };
    socket.on('connect', () => settle(true)).on('error', () => settle(false));
  });
}

/** Put in place as a whole, and left alone when it says the same: the other side starts anew on it. */
async function place(path: string, text: string): Promise<void> {
  const there = await readFile(path, 'utf8').catch(() => undefined);
  if (there === text) return;
  await rm(`${path}.new`, { force: true });
  await writeFile(`${path}.new`, text, { mode: 0o600, flag: 'wx' });
  await rename(`${path}.new`, path);
}

/**
 * A broker that somebody else runs, from the files in a shared folder: `nats-server -c
 * nats-server.conf` while that file is there, anew when it has changed, ended when it is gone. Whoever
 * listens on the port is believed when it has the SVID that was issued for the broker, and knows the
 * keys of this configuration; the connection that showed this is held, and its end is the broker's.
 */
export function createOutsideNatsServer(options: OutsideBrokerOptions): NatsServer {
  const { folder, port } = options;
  const config = join(folder, CONFIG);
  const files: NatsServerFiles = {
    portsFolder: join(folder, 'ports'),
    pidFile: join(folder, 'nats-server.pid'),
    storeFolder: join(folder, 'jetstream'),
  };

  async function reach(signal: AbortSignal): Promise<BrokerSession> {
    const nobody = `nobody listens on 127.0.0.1:${port}; run nats-server -c ${config} there`;
    let since: number | undefined;
    let why = nobody;
    while (!signal.aborted) {
      if (await listens(port)) {
        since ??= performance.now();
        try {
          return await options.connect(port, signal);
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          why = `127.0.0.1:${port} is not this swarm's broker (${reason}); end what listens there, or choose another port`;
          if (performance.now() - since >= (options.patienceMs ?? PATIENCE_MS)) break;
        }
      } else {
        since = undefined;
        why = nobody;
      }
      await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
    }
    throw new Error(why);
  }

  function life(): RunningProcess {
    const exit = Promise.withResolvers<ExitInfo>();
    const attempt = new AbortController();
    let session: BrokerSession | undefined;
    const end = (detail: string): void => {
      unfollow();
      exit.resolve({ code: null, signal: null, detail });
    };
    const unfollow =
      options.onLine === undefined
        ? () => {}
        : followLines(join(folder, OUTSIDE_LOG), options.onLine);
    const ready = reach(attempt.signal).then(
      (opened) => {
        session = opened;
        void opened.closed.then(() => end(`the broker on 127.0.0.1:${port} has gone`));
        return 'ready' as const;
      },
      (error: Error) => {
        end(error.message);
        return undefined;
      },
    );
    const leave = (): void => {
      attempt.abort();
      void session?.close();
    };
    return {
      pid: NO_PID,
      startTime: 0,
      quarantine: () => undefined,
      ready,
      exited: exit.promise,
      send: () => {},
      onMessage: () => () => {},
      // The other side ends it when its configuration is gone; what hangs there is left to it.
      stop: (graceMs) =>
        endProcess(
          exit.promise,
          graceMs,
          () => {
            attempt.abort();
            void rm(config, { force: true });
          },
          leave,
        ),
      reload: () => session?.reload(),
      kill: leave,
    };
  }

  return {
    port: () => port,
    start: async () => {
      try {
        for (const path of [files.portsFolder, files.storeFolder]) {
          await mkdir(path, { recursive: true, mode: 0o700 });
        }
        await place(config, options.render(port, files));
      } catch (error) {
        return stateRefusal(folder, error);
      }
      return accept(life());
    },
  };
}
