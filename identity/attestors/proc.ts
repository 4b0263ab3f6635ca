import { closeSync, openSync, readFileSync, readlinkSync, readSync, statSync } from 'node:fs';

/** The executable of a live process; numbers as decimal strings. */
export interface Executable {
  readonly path: string;
  readonly dev: string;
  readonly ino: string;
  /** Changes when the file's content, owner or mode does. */
  readonly ctime: string;
}

/** PID and start time name one process for as long as the machine is up. */
export interface ProcessFacts {
  readonly pid: number;
  readonly startTime: number;
  readonly exe: Executable;
}

/**
 * Field 22 of /proc/PID/stat, in clock ticks since boot. Field 2 is the name in parentheses, which
 * the process chooses and which may hold spaces and parentheses: count from the last `)`.
 */
export function parseStartTime(stat: string): number | undefined {
  const end = stat.lastIndexOf(')');
  if (end === -1) return undefined;
  const field = stat.slice(end + 2).split(' ')[19];
  if (field === undefined || !/^[0-9]{1,15}$/.test(field)) return undefined;
  return Number(field);
}

/** State letter of /proc/PID/stat: a zombie (`Z`) or dead (`X`) process speaks no more. */
function isDead(stat: string): boolean {
  const state = stat.charAt(stat.lastIndexOf(')') + 2);
  return state === 'Z' || state === 'X';
}

/** Follows the kernel's link to the running file itself, not its name, which may be another file. */
export function executableOf(path: string): Executable {
  const link = path;
  const stat = statSync(link, { bigint: true });
  return {
    path: readlinkSync(link),
    dev: stat.dev.toString(),
    ino: stat.ino.toString(),
    ctime: stat.ctimeNs.toString(),
  };
}

/** More than a file of procfs has, unless its process is in hundreds of groups. */
const PROC_FILE_BYTES = 4096;

/**
 * A file of procfs, at each message of each stream: Node's own function sets 64 KiB aside for a file
 * whose size it cannot know. @throws Error as that does
 */
export function readProcFile(path: string): string {
  const fd = openSync(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(PROC_FILE_BYTES);
    const size = readSync(fd, buffer, 0, PROC_FILE_BYTES, 0);
    // Never half of it: half of a group's number is the number of another group.
    return size < PROC_FILE_BYTES
      ? buffer.toString('latin1', 0, size)
      : readFileSync(path, 'latin1');
  } finally {
    closeSync(fd);
  }
}

/** `undefined` when there is no such live process, or it may not be looked at. Linux only. */
export function readProcess(pid: number): ProcessFacts | undefined {
  try {
    const before = readProcFile(`/proc/${pid}/stat`);
    const startTime = parseStartTime(before);
    if (startTime === undefined || isDead(before)) return undefined;
    const exe = executableOf(`/proc/${pid}/exe`);
    // The PID may have been reused between the two reads.
    const after = parseStartTime(readProcFile(`/proc/${pid}/stat`));
    return after === startTime ? { pid, startTime, exe } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * What a process runs now, where something else shows that it is the one that started then;
 * `undefined` when it has ended, or may not be looked at.
 */
export function readExecutable(
  pid: number,
  startTime: number,
): Pick<ProcessFacts, 'startTime' | 'exe'> | undefined {
  try {
    return { startTime, exe: executableOf(`/proc/${pid}/exe`) };
  } catch {
    return undefined;
  }
}

/** `Pid:` of a pidfd's fdinfo: -1 once the process has been reaped or is dead, 0 when foreign. */
export function parsePidfdPid(fdinfo: string): number | undefined {
  const match = /^Pid:\s*(-?[0-9]+)$/m.exec(fdinfo);
  return match === null ? undefined : Number(match[1]);
}

export function sameExecutable(a: Executable, b: Executable): boolean {
  return a.path === b.path && a.dev === b.dev && a.ino === b.ino && a.ctime === b.ctime;
}
