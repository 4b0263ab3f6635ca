import { type Refused, refuse } from '#identity/outcome.ts';

type StateCode = 'STATE_UNWRITABLE' | 'STATE_FULL';

const FIXES: Readonly<Record<string, string>> = {
  EACCES: 'may not be written; change its permissions or choose another with --state-dir',
  EPERM: 'may not be written; change its permissions or choose another with --state-dir',
  EROFS: 'is on a read-only file system; choose another folder with --state-dir',
  ENOENT: 'cannot be created; choose another folder with --state-dir',
  ENOTDIR: 'is below something that is not a folder; choose another with --state-dir',
  ENAMETOOLONG: 'has too long a name; choose a shorter one with --state-dir',
  ERR_SQLITE_ERROR: 'cannot be locked; is it writable? Choose another with --state-dir',
  EMFILE: 'cannot be opened: too many open files; raise `ulimit -n`',
};

/** One line for an error that the file system gave while `path` was written. */
export function stateRefusal(path: string, error: unknown): Refused<StateCode> {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? 'unknown error';
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return refuse(
      'STATE_FULL',
      `${path}: the disk is full; free some space or choose another folder with --state-dir`,
    );
  }
  return refuse('STATE_UNWRITABLE', `${path}: ${FIXES[code] ?? `cannot be written (${code})`}`);
}
