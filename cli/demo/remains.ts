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

/** Of a stopped demo only these files stay, in the place of the last one's; returns their folder. */
export async function keepFiles(
  { path }: Pick<RunFolder, 'path'>,
  files: readonly string[],
  folder: string,
): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const file of files) await rename(join(path, file), join(folder, file));
  await rm(path, { recursive: true, force: true });
  const short = relative(process.cwd(), folder);
  return short.startsWith('..') ? folder : short;
}
