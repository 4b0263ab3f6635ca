import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { RunFolder } from '#runtime/run-folder.ts';
import type { RunningSwarm } from '../wiring/swarm.ts';

/** PIDs of the swarm, of those that are started later too. */
export function processesOf(running: RunningSwarm): ReadonlySet<number> {
  const pids = new Set(running.status().processes.flatMap(({ pid }) => pid ?? []));
  running.onEvent((event) => {
    if (event.type === 'started') pids.add(event.pid);
  });
  return pids;
}

/** What a stopped swarm has left: living processes, sockets. Empty is the promise. */
export function leftBehind(pids: Iterable<number>, run: RunFolder): string[] {
  const living = [...pids].filter((pid) => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  });
  const sockets = [run.workloadSocket, run.controlSocket].filter((path) => existsSync(path));
  return [...living.map((pid) => `process ${pid}`), ...sockets];
}

/** Of a stopped demo only its traces stay, in the place of the last one's; returns their path. */
export async function keepTraces({ run, traces }: RunningSwarm, folder: string): Promise<string> {
  const kept = join(folder, 'traces.jsonl');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await rename(traces.file, kept);
  await rm(run.path, { recursive: true, force: true });
  const path = relative(process.cwd(), kept);
  return path.startsWith('..') ? kept : path;
}
