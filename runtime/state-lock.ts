import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { processStartTime } from './process-info.ts';

export interface StateLock {
  release(): void;
}

interface Owner {
  readonly pid: number;
  readonly startTime: number | undefined;
}

function readOwner(path: string): Owner | undefined {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as Partial<Owner>;
    return typeof value.pid === 'number'
      ? { pid: value.pid, startTime: value.startTime }
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * One swarm per state folder. The lock is SQLite's exclusive one, which the operating system drops
 * with its process: a stale lock cannot exist, and two takers cannot both win, as they can with a
 * file that holds a PID. PID and start time stand beside it only to say who has the folder.
 */
export async function lockState(folder: string): Promise<Outcome<StateLock, 'STATE_LOCKED'>> {
  const ownerPath = join(folder, 'owner.json');
  const lockPath = join(folder, 'lock.db');
  // Whoever may read it could hold a lock on it and keep the next start out.
  closeSync(openSync(lockPath, 'a', 0o600));
  const database = new DatabaseSync(lockPath);
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (!/locked|busy/.test(error instanceof Error ? error.message : '')) throw error;
    const owner = readOwner(ownerPath);
    const living = owner !== undefined && (await processStartTime(owner.pid)) === owner.startTime;
    const who = living ? `process ${owner.pid}` : 'another process';
    return refuse(
      'STATE_LOCKED',
      `${folder}: in use by ${who}; stop that swarm first, or choose another folder with --state-dir`,
    );
  }
  try {
    const owner: Owner = { pid: process.pid, startTime: await processStartTime(process.pid) };
    writeFileSync(ownerPath, JSON.stringify(owner), { mode: 0o600 });
  } catch (error) {
    database.close();
    throw error;
  }
  return accept({ release: () => database.close() });
}
