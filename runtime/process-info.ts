import { execFile } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Which file a process executes; numbers as decimal text, as they exceed 2^53 on some file systems. */
export interface ExecutableFile {
  readonly path: string;
  readonly dev: string;
  readonly ino: string;
}

/**
 * When a process started: clock ticks since boot on Linux (field 22 of /proc/PID/stat), seconds
 * since the epoch on macOS. With the PID it names one process. Undefined when there is none.
 */
export async function processStartTime(pid: number): Promise<number | undefined> {
  if (process.platform === 'linux') {
    try {
      const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
      // Field 2 is the command in parentheses and may itself hold spaces and parentheses.
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      const state = fields[0];
      const ticks = Number(fields[19]);
      return state === 'Z' || state === 'X' || !Number.isSafeInteger(ticks) ? undefined : ticks;
    } catch {
      return undefined;
    }
  }
  try {
    const { stdout } = await run('/bin/ps', ['-o', 'lstart=', '-p', String(pid)], {
      env: { LC_ALL: 'C', TZ: 'UTC' },
    });
    const seconds = Date.parse(`${stdout.trim()} UTC`) / 1000;
    return Number.isSafeInteger(seconds) ? seconds : undefined;
  } catch {
    return undefined;
  }
}

export async function executableFile(path: string): Promise<ExecutableFile> {
  const info = await stat(path, { bigint: true });
  return { path, dev: String(info.dev), ino: String(info.ino) };
}

/** The executable that a process runs at this moment; Linux only. */
export function runningExecutable(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined;
  }
}

/** Proportional set size in KiB: shared pages are counted once over all. Linux only. */
export function pssKiB(pid: number): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
    const match = /^Pss:\s+(\d+) kB$/m.exec(text);
    return match === null ? undefined : Number(match[1]);
  } catch {
    return undefined;
  }
}
