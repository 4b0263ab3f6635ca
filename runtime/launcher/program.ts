import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { processStartTime } from '../process-info.ts';
import { type Uids, underCredentials } from './isolation.ts';
import { type Lifeline, parentDeathCommand, pipeCommand, withoutCore } from './lifeline.ts';
import { openProcessLog } from './log-file.ts';
import { type ExitInfo, endProcess, type RunningProcess } from './running.ts';

/** A program that is not ours and speaks no IPC: nats-server. */
export interface ProgramSpec {
  readonly name: string;
  /** Absolute path. */
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly logs: string;
  readonly lifeline: Lifeline;
  /** A uid for each process, by its name; absent with one uid for all. */
  readonly uids?: Uids | undefined;
  /** Each whole line that it writes, whoever is quoted in it; longer ones than 8 KiB are left out. */
  readonly onLine?: (line: string) => void;
  /** Resolves when the program serves; it is given up when the program ends first. */
  readonly untilReady: (pid: number, signal: AbortSignal) => Promise<void>;
}

const MAX_LINE_BYTES = 8192;
const NEWLINE = 10;

/** Bounded: a program that never ends a line fills no memory here. */
function eachLine(stream: Readable, onLine: (line: string) => void): void {
  let held: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      const last = chunk.subarray(start, end);
      if (size + last.length <= MAX_LINE_BYTES) {
        onLine(Buffer.concat([...held, last]).toString('utf8'));
      }
      held = [];
      size = 0;
      start = end + 1;
    }
    size += chunk.length - start;
    if (size <= MAX_LINE_BYTES) held.push(chunk.subarray(start));
    else held = [];
  });
}

/** Starts a program that ends with this process, whatever ends it. */
export async function launchProgram(
  spec: ProgramSpec,
): Promise<Outcome<RunningProcess, 'SPAWN_FAILED'>> {
  const piped = spec.lifeline.kind === 'pipe';
  const tied =
    spec.lifeline.kind === 'pipe'
      ? pipeCommand(spec.program, spec.args)
      : parentDeathCommand(spec.lifeline.setpriv, spec.program, spec.args);
  const [command, args] = withoutCore(
    ...underCredentials(spec.uids, spec.uids?.of(spec.name), undefined, tied),
  );
  const log = openProcessLog(`${spec.logs}/${spec.name}.log`);
  const options: SpawnOptions = {
    cwd: spec.cwd,
    detached: true,
    env: { TZ: 'UTC', LANG: 'C.UTF-8', ...(piped ? { PATH: '/usr/bin:/bin' } : {}) },
    stdio: ['ignore', 'pipe', 'pipe', ...(piped ? ['pipe' as const] : [])],
  };
  const child: ChildProcess = spawn(command, args, options);
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    log.take(stream);
    if (spec.onLine !== undefined) eachLine(stream, spec.onLine);
  }
  child.stdio[3]?.on('error', () => {});
  const exit = Promise.withResolvers<ExitInfo>();
  const ended = new AbortController();
  // The shell may be gone and the program not yet: the closed pipe ends it, its output closes last.
  child.on('exit', () => child.stdio[3]?.destroy());
  child.on('close', (code, signal) => {
    ended.abort();
    exit.resolve({ code, signal, detail: log.tail() });
    log.close();
  });
  const spawned = await Promise.race([
    once(child, 'spawn').then(() => undefined),
    once(child, 'error').then(([error]) => (error as NodeJS.ErrnoException).code ?? 'error'),
  ]).catch((error: NodeJS.ErrnoException) => error.code ?? 'error');
  child.on('error', () => {});
  const { pid } = child;
  const startTime = pid === undefined ? undefined : await processStartTime(pid);
  if (spawned !== undefined || pid === undefined || startTime === undefined) {
    const why = spawned ?? (await exit.promise).detail;
    log.close();
    return refuse('SPAWN_FAILED', `${spec.name}: cannot be started (${why})`);
  }
  const ready = spec.untilReady(pid, ended.signal).then(
    () => 'ready' as const,
    () => undefined,
  );
  return accept({
    pid,
    startTime,
    quarantine: () => undefined,
    ready,
    exited: exit.promise,
    send: () => {},
    onMessage: () => () => {},
    stop: (graceMs) =>
      endProcess(
        exit.promise,
        graceMs,
        () => child.kill('SIGTERM'),
        (name) => child.kill(name),
      ),
    // The shell of the pipe wrapper passes no SIGHUP on; there a reload waits for the next start.
    ...(spec.lifeline.kind === 'pipe' ? {} : { reload: () => void child.kill('SIGHUP') }),
    kill: () => child.kill('SIGKILL'),
  });
}
