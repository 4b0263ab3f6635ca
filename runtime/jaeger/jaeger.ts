import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { accept, type Outcome } from '#identity/outcome.ts';
import { stateRefusal } from '../file-errors.ts';
import type { Lifeline } from '../launcher/lifeline.ts';
import { launchProgram } from '../launcher/program.ts';
import { createSupervisor } from '../supervisor/supervisor.ts';
import { type JaegerPorts, renderJaegerConfig } from './config.ts';
import { type JaegerAddress, probeJaeger } from './probe.ts';

export interface JaegerOptions {
  /** Absolute path of Jaeger 2. */
  readonly program: string;
  /** The run's folder; Jaeger's own lies below it, and its log with the others. */
  readonly runPath: string;
  readonly lifeline: Lifeline;
  readonly fetch: typeof fetch;
  readonly readyTimeoutMs?: number;
}

export interface RunningJaeger {
  readonly address: JaegerAddress;
  pid(): number | undefined;
  stop(): Promise<void>;
}

const LOOK_EVERY_MS = 50;
const PROBE_MS = 2000;

/** Ports that were free a moment ago; all are held until the last is known, so no two are the same. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/**
 * Starts a Jaeger of the swarm's own: traces in memory, on free ports of loopback that it keeps for
 * its life, started again when it dies, ended with this process whatever ends that.
 */
export async function startJaeger(options: JaegerOptions): Promise<Outcome<RunningJaeger>> {
  const folder = join(options.runPath, 'jaeger');
  const logs = join(options.runPath, 'logs');
  const [ui = 0, otlp = 0, grpc = 0] = await freePorts(3);
  const ports: JaegerPorts = { ui, otlp, grpc };
  const address: JaegerAddress = {
    ui: `http://127.0.0.1:${ui}`,
    otlp: `http://127.0.0.1:${otlp}/v1/traces`,
  };
  const untilReady = async (_pid: number, signal: AbortSignal): Promise<void> => {
    const probe = { fetch: options.fetch, timeoutMs: PROBE_MS };
    while ((await probeJaeger(address, probe)) !== undefined) {
      signal.throwIfAborted();
      await delay(LOOK_EVERY_MS, undefined, { signal });
    }
  };
  const supervisor = createSupervisor({
    plan: [
      {
        kind: 'process',
        name: 'jaeger',
        after: [],
        start: async () => {
          const config = join(folder, 'config.yaml');
          try {
            for (const path of [options.runPath, folder, logs]) {
              await mkdir(path, { recursive: true, mode: 0o700 });
            }
            await writeFile(config, renderJaegerConfig(ports), { mode: 0o600 });
          } catch (error) {
            return stateRefusal(folder, error);
          }
          return launchProgram({
            name: 'jaeger',
            program: options.program,
            args: ['--config', `file:${config}`],
            cwd: folder,
            logs,
            lifeline: options.lifeline,
            untilReady,
          });
        },
      },
    ],
    now: () => new Date(),
    random: Math.random,
    ...(options.readyTimeoutMs !== undefined && { readyTimeoutMs: options.readyTimeoutMs }),
  });
  const started = await supervisor.start();
  if (!started.ok) return started;
  return accept({
    address,
    pid: () => supervisor.process('jaeger')?.pid,
    stop: () => supervisor.stop(),
  });
}
