import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../output.ts';

/** A file that is there whole, or not at all. */
export interface OutputFile {
  /** @throws UserError in one line; nothing is left behind then. */
  write(text: string): void;
  /** Gives it its name. @throws UserError likewise. */
  commit(): void;
  /** Nothing was written, as far as anybody can see. Harmless after `commit`. */
  abandon(): void;
}

const WHY: Readonly<Record<string, string>> = {
  EACCES: 'may not be written: choose another place with -o',
  EPERM: 'may not be written: choose another place with -o',
  EROFS: 'is on a read-only file system: choose another place with -o',
  ENOENT: 'the folder does not exist: make it, or choose another with -o',
  ENOTDIR: 'is below something that is not a folder: choose another place with -o',
  EISDIR: 'is a folder: name a file in it with -o',
  ENAMETOOLONG: 'has too long a name: choose a shorter one with -o',
  ENOSPC: 'the disk is full: nothing was written; free some space',
  EDQUOT: 'the quota is used up: nothing was written; free some space',
  EFBIG: 'the file would become larger than is allowed here: nothing was written',
  EPIPE: 'whoever reads it has left',
};

function refusal(path: string, error: unknown): UserError {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? 'unknown error';
  return new UserError(`${path}: ${WHY[code] ?? `cannot be written (${code})`}`);
}

/** Ctrl-C in the middle leaves nothing behind. */
const INTERRUPTIONS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What evidence says may be for few eyes; who passes it on decides about others. */
const MODE = 0o600;

/**
 * Opens what a command writes. What is there already is only replaced with `force`; a device, or a
 * pipe, is written to as it is.
 */
export function openOutput(given: string, options: { readonly force: boolean }): OutputFile {
  const there = attempt(given, () => statSync(given, { throwIfNoEntry: false }));
  if (there?.isDirectory() === true) throw refusal(given, { code: 'EISDIR' });
  if (there !== undefined && !there.isFile()) return direct(given);
  if (there !== undefined && !options.force) throw exists(given);
  // Through a symbolic link the file is replaced, and the link stays.
  const path = there === undefined ? given : realpathSync(given);
  const aside = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  return whole(path, aside, options.force);
}

const exists = (path: string): UserError =>
  new UserError(`${path}: there is such a file; choose another name, or replace it with --force`);

function direct(path: string): OutputFile {
  const fd = attempt(path, () => openSync(path, 'w'));
  return {
    write: (text) => attempt(path, () => writeAll(fd, text)),
    commit: () => attempt(path, () => closeSync(fd)),
    abandon: () => {},
  };
}

function whole(path: string, aside: string, force: boolean): OutputFile {
  const fd = attempt(path, () => openSync(aside, 'wx', MODE));
  let open = true;
  const interrupted = (signal: NodeJS.Signals): void => {
    abandon();
    process.kill(process.pid, signal);
  };
  const finish = (): void => {
    open = false;
    for (const signal of INTERRUPTIONS) process.off(signal, interrupted);
    closeSync(fd);
  };
  const abandon = (): void => {
    if (!open) return;
    finish();
    unlinkSync(aside);
  };
  for (const signal of INTERRUPTIONS) process.on(signal, interrupted);
  const guarded = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      abandon();
      throw error instanceof UserError ? error : refusal(path, error);
    }
  };
  return {
    write: (text) => guarded(() => writeAll(fd, text)),
    commit: () =>
      guarded(() => {
        fsyncSync(fd);
        if (force) renameSync(aside, path);
        else giveName(aside, path);
        finish();
      }),
    abandon,
  };
}

/** Without replacing what somebody put there meanwhile. */
function giveName(aside: string, path: string): void {
  try {
    linkSync(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw exists(path);
    // A file system without links.
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) throw exists(path);
    renameSync(aside, path);
    return;
  }
  unlinkSync(aside);
}

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

function attempt<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw refusal(path, error);
  }
}
