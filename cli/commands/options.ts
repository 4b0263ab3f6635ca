import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { type ControlAddress, findControl } from '#runtime/control/client.ts';
import { UIDS_PER_SWARM } from '#runtime/launcher/isolation.ts';
import { UserError } from '../output.ts';
import { CHECKOUT } from '../wiring/checkout.ts';
import type { OtlpTarget } from '../wiring/traces.ts';
import { otlpFrom } from './otlp.ts';

/** Options of the program itself; a command reads them from its parent. */
export interface GlobalOptions {
  readonly stateDir: string;
  readonly debug?: boolean;
}

export function globals(command: Command): GlobalOptions {
  return command.optsWithGlobals<GlobalOptions>();
}

/**
 * The only place where tools and secrets are read from the environment. `natsServer` is looked for
 * when it is read: who has a broker elsewhere needs none. @throws UserError naming the variable.
 */
export function environment(): {
  readonly natsServer: string;
  /** Of 127.0.0.1, where a broker is that somebody else runs. */
  readonly brokerPort: number | undefined;
  readonly opa: string | undefined;
  readonly upstreamApiKey: string | undefined;
  readonly otlp: OtlpTarget | undefined;
  /** First uid of the range for processes when root starts a swarm; `off`: one uid for all. */
  readonly uids: number | 'off' | undefined;
} {
  return {
    get natsServer() {
      return natsServerFrom(process.env.SWARMPROOF_NATS_SERVER);
    },
    brokerPort: portFrom(process.env.SWARMPROOF_NATS_EXTERNAL),
    opa: process.env.SWARMPROOF_OPA || undefined,
    upstreamApiKey: process.env.SWARMPROOF_MODEL_API_KEY || undefined,
    otlp: otlpFrom(process.env),
    uids: uidsFrom(process.env.SWARMPROOF_UIDS),
  };
}

function natsServerFrom(path: string | undefined): string {
  if (path !== undefined && path !== '') return path;
  throw new UserError(
    "no nats-server: start by 'npx --no-install swarmproof' or set SWARMPROOF_NATS_SERVER",
  );
}

function portFrom(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port > 0 && port < 65_536) return port;
  throw new UserError('SWARMPROOF_NATS_EXTERNAL is no port number, such as 4222');
}

function uidsFrom(text: string | undefined): number | 'off' | undefined {
  if (text === undefined || text === '') return undefined;
  if (text === 'off') return 'off';
  // Below 1000 are the system's own; above, some programs take a uid for a negative number.
  const first = Number(text);
  if (/^\d{4,10}$/.test(text) && first >= 1000 && first < 2 ** 31 - UIDS_PER_SWARM) return first;
  throw new UserError('SWARMPROOF_UIDS is the first of a range of uids, such as 3000000, or off');
}

export function runsFolder(options: GlobalOptions): string {
  return join(options.stateDir, 'runs');
}

export const DEFAULT_SWARM = join(CHECKOUT, 'swarms', 'smart-city.yaml');

/** The running swarm: the named run, or the only one there is. */
export async function runningSwarm(
  options: GlobalOptions,
  run: string | undefined,
): Promise<ControlAddress> {
  const folder = runsFolder(options);
  if (run !== undefined) return must(await findControl(join(folder, run)));
  const found: [string, ControlAddress][] = [];
  for (const name of namesIn(folder)) {
    const address = await findControl(join(folder, name));
    if (address.ok) found.push([name, address.value]);
  }
  const [first] = found;
  if (first === undefined) {
    throw new UserError(`no swarm runs under ${folder}; start one with 'swarmproof up'`);
  }
  if (found.length > 1) {
    const names = found.map(([name]) => name).join(', ');
    throw new UserError(`${found.length} swarms run (${names}): choose one with --run NAME`);
  }
  return first[1];
}

/** The folder of the named run, or of the only one; nothing when none runs. @throws UserError */
export async function runningFolder(
  options: GlobalOptions,
  run: string | undefined,
): Promise<{ readonly path: string; readonly address: ControlAddress } | undefined> {
  const folder = runsFolder(options);
  if (run !== undefined) {
    const path = join(folder, run);
    return { path, address: must(await findControl(path)) };
  }
  const found: { readonly path: string; readonly address: ControlAddress }[] = [];
  for (const name of namesIn(folder)) {
    const address = await findControl(join(folder, name));
    if (address.ok) found.push({ path: join(folder, name), address: address.value });
  }
  if (found.length > 1) {
    throw new UserError(`${found.length} swarms run: choose one with --run NAME`);
  }
  return found[0];
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

export function must<T>(
  outcome:
    | { readonly ok: true; readonly value: T }
    | { readonly ok: false; readonly detail: string },
): T {
  if (!outcome.ok) throw new UserError(outcome.detail);
  return outcome.value;
}
