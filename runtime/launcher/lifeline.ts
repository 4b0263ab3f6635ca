import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * How a process is tied to the life of the supervisor, so that a supervisor killed with SIGKILL
 * leaves nothing behind.
 * - `parent-death-signal`: the kernel kills it with its parent (Linux; survives exec, same PID).
 * - `pipe`: a shell waits for the end of a pipe that only the supervisor holds open.
 */
export type Lifeline =
  | { readonly kind: 'parent-death-signal'; readonly setpriv: string }
  | { readonly kind: 'pipe' };

export const SETPRIV: readonly string[] = ['/usr/bin/setpriv', '/bin/setpriv'];
const KILL_WITH_PARENT = ['--pdeathsig', 'KILL', '--'];

/** util-linux' setpriv where it works (BusyBox' has no --pdeathsig), else the pipe. */
export async function findLifeline(): Promise<Lifeline> {
  if (process.platform === 'linux') {
    for (const setpriv of SETPRIV) {
      try {
        await promisify(execFile)(setpriv, [...KILL_WITH_PARENT, '/bin/true'], { env: {} });
        return { kind: 'parent-death-signal', setpriv };
      } catch {
        // Not there or without the option: the next.
      }
    }
  }
  return { kind: 'pipe' };
}

/**
 * Descriptor 3 is the pipe. SIGTERM is passed on; the process' own status is the shell's. The
 * watcher outlives a killed shell, so its end is the end of the process too.
 */
const WATCH = `"$@" 3<&- & child=$!
( exec 0<&3; trap '' TERM; cat >/dev/null; kill -KILL $child ) >/dev/null 2>&1 & watcher=$!
exec 3<&-
trap 'kill -TERM $child' TERM
wait $child; status=$?
while kill -0 $child 2>/dev/null; do wait $child; status=$?; done
kill -KILL $watcher 2>/dev/null
exit $status`;

/** Command and arguments that run `program` tied by a pipe on descriptor 3. */
export function pipeCommand(program: string, args: readonly string[]): [string, string[]] {
  return ['/bin/sh', ['-c', WATCH, 'swarmproof', program, ...args]];
}

/** Command and arguments that run `program` so that the kernel kills it with its parent. */
export function parentDeathCommand(
  setpriv: string,
  program: string,
  args: readonly string[],
): [string, string[]] {
  return [setpriv, [...KILL_WITH_PARENT, program, ...args]];
}

/** The shell's own variables are none of the program's. */
const NO_CORE = 'unset PWD OLDPWD SHLVL; ulimit -c 0; exec "$@"';

/**
 * Command and arguments that run `program` with no core file, now or ever: a crash would write its
 * memory, keys and seeds with it, into its working folder. That is the image store, which every agent
 * may read, and with one uid any of them can make another crash.
 */
export function withoutCore(program: string, args: readonly string[]): [string, string[]] {
  return ['/bin/sh', ['-c', NO_CORE, 'swarmproof', program, ...args]];
}
