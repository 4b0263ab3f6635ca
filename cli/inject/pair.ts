import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ControlAddress } from '#runtime/control/client.ts';
import type { Arena } from '#scenarios/arena.ts';
import { serveSwarm } from '../wiring/control.ts';
import type { Control } from '../wiring/controls.ts';
import { startSharedKeys } from '../wiring/shared-keys/swarm.ts';
import { type RunningSwarm, startSwarm } from '../wiring/swarm.ts';
import { sharedKeysArena } from './arena/shared-keys.ts';
import { swarmArena } from './arena/swarm.ts';

export interface ArenaOptions {
  readonly file: string;
  readonly natsServer: string;
  readonly opa: string | undefined;
  /** Folder of runs; each swarm that is started gets one of its own, which goes with it. */
  readonly runs: string;
  readonly progress?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** The swarm as it was before, started for this and ended with it. */
export async function startSharedKeysArena(options: ArenaOptions): Promise<Arena> {
  const { runs, opa: _opa, ...rest } = options;
  const runId = `keys-${process.pid}`;
  const runPath = join(runs, runId);
  const gone = (): Promise<void> => rm(runPath, { recursive: true, force: true });
  const running = await startSharedKeys({ ...rest, inputs: [], runPath, runId }).catch(
    async (error: unknown) => {
      await gone();
      throw error;
    },
  );
  return sharedKeysArena(running, async () => {
    await running.stop();
    await gone();
  });
}

/** This swarm, started for this with these controls off, and ended with it. */
export async function startSwarmArena(
  options: ArenaOptions,
  off: readonly Control[],
): Promise<Arena> {
  const { runs, ...rest } = options;
  const runId = `inject-${process.pid}`;
  const runPath = join(runs, runId);
  const running = await startSwarm({ ...rest, inputs: [], runPath, runId, off });
  return servedArena(running, off, async () => {
    await running.stop();
    await rm(runPath, { recursive: true, force: true });
  });
}

/** A swarm of this very process: its control socket is served as long as the arena is open. */
export async function servedArena(
  running: RunningSwarm,
  off: readonly Control[],
  end: () => Promise<void> = async () => {},
): Promise<Arena> {
  const control = await serveSwarm(running, () => {});
  const { controlSocket: socketPath, token, path } = running.run;
  return openArena({ socketPath, token }, path, off, async () => {
    await control.close();
    await end();
  });
}

/** A swarm that somebody else runs, by its control socket. */
export function openArena(
  address: ControlAddress,
  runPath: string,
  off: readonly Control[] = [],
  end?: () => Promise<void>,
): Promise<Arena> {
  return swarmArena({ address, runPath, off, ...(end !== undefined && { end }) });
}
