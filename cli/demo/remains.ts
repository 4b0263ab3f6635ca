import { existsSync } from 'node:fs';
import type { RunFolder } from '#runtime/run-folder.ts';

/** What a stopped swarm has left: living processes, sockets. Empty is the promise. */
export function leftBehind(pids: readonly number[], run: RunFolder): string[] {
  const living = pids.filter((pid) => {
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
