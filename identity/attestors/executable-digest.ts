import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { Executable } from './proc.ts';

/** SHA-256 of running executables, in hex. */
export interface ExecutableDigests {
  /** Reads the file when it is not known yet; one file at a time. */
  prepare(pid: number, exe: Executable): Promise<void>;
  /** `undefined` when it is unknown, too large or not readable. */
  of(exe: Executable): string | undefined;
}

const KEPT = 1024;

/** Device, inode and ctime name the content; the path does not. */
function keyOf({ dev, ino, ctime }: Executable): string {
  return `${dev} ${ino} ${ctime}`;
}

async function isStill(file: FileHandle, exe: Executable): Promise<boolean> {
  const stat = await file.stat({ bigint: true });
  return `${stat.dev} ${stat.ino} ${stat.ctimeNs}` === keyOf(exe);
}

/** @param limit SPIRE's `workload_size_limit`, in bytes: 0 is no limit, a negative one never reads */
export function createExecutableDigests(limit: number): ExecutableDigests {
  const known = new Map<string, string | undefined>();
  let last: Promise<void> = Promise.resolve();

  const digest = async (pid: number, exe: Executable): Promise<string | undefined> => {
    // By the kernel's link: the path may lead to another file by now, in this or another namespace.
    const file = await open(`/proc/${pid}/exe`, 'r');
    try {
      const { size } = await file.stat();
      // The PID may be another process' by now. What is kept is kept under what was pinned.
      if ((limit > 0 && size > limit) || !(await isStill(file, exe))) return undefined;
      const hash = createHash('sha256');
      for await (const chunk of file.createReadStream({ autoClose: false })) hash.update(chunk);
      return (await isStill(file, exe)) ? hash.digest('hex') : undefined;
    } finally {
      await file.close();
    }
  };

  return {
    prepare: async (pid, exe) => {
      if (limit < 0 || known.has(keyOf(exe))) return;
      const turn = last.then(async () => {
        if (known.has(keyOf(exe))) return;
        const found = await digest(pid, exe).catch(() => undefined);
        const [oldest] = known.keys();
        if (known.size >= KEPT && oldest !== undefined) known.delete(oldest);
        known.set(keyOf(exe), found);
      });
      last = turn;
      await turn;
    },
    of: (exe) => known.get(keyOf(exe)),
  };
}
