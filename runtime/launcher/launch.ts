import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { AttestationClaims } from '#identity/issuer/launcher-link.ts';
import { openLines } from '#identity/issuer/lines.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { type StoredImage, storedDigest } from '../images/store.ts';
import { executableFile, processStartTime, runningExecutable } from '../process-info.ts';
import type { FromChild, StartMessage, ToChild } from '../process-protocol.ts';
import { parseFromChild } from './child-message.ts';
import { type Hardening, hardeningFlags } from './flags.ts';
import { type Capability, type Credentials, type Uids, underCredentials } from './isolation.ts';
import { type Lifeline, parentDeathCommand, withoutCore } from './lifeline.ts';
import { openProcessLog } from './log-file.ts';
import { type ExitInfo, endProcess, type Readiness, type RunningProcess } from './running.ts';

export interface LaunchSpec {
  /** Names the log file and the process in messages. */
  readonly name: string;
  readonly image: StoredImage;
  readonly hardening: Hardening;
  /** Real paths of single files that a sealed process may read beside the store. */
  readonly readFiles?: readonly string[];
  /** Folders that a sealed process may read and write. */
  readonly ownFolders?: readonly string[];
  /** Absent for issuer and witnesses, which nobody attests. */
  readonly workload?: AttestationClaims['workload'];
  /** Gives the child a duplex descriptor 4: the launcher link of the issuer. */
  readonly withLink?: boolean;
  /** What it keeps of root's power where processes have uids of their own; nothing when absent. */
  readonly capability?: Capability;
  /** Made after the spawn, sent after the attestation was acknowledged. */
  readonly start: () => StartMessage | Promise<StartMessage>;
}

export interface LaunchContext {
  /** Absolute path of the Node that runs every process. */
  readonly node: string;
  /** Absolute path of the image store. */
  readonly store: string;
  readonly logs: string;
  readonly lifeline: Lifeline;
  /** A uid for each process, by its name; absent with one uid for all. */
  readonly uids?: Uids | undefined;
  /** Tells the issuer about a process; resolves when it has acknowledged. */
  readonly attest: (claims: AttestationClaims) => Promise<Outcome<unknown>>;
  /** Tells the issuer that a process is gone. */
  readonly exited: (pid: number, startTime: number) => void;
}

type LaunchCode = 'SPAWN_FAILED';

/** Nothing of the launcher's own environment: no NODE_OPTIONS, no PATH, no secrets. */
const ENVIRONMENT = { TZ: 'UTC', LANG: 'C.UTF-8' } as const;
/**
 * The child speaks Node's IPC (`process.send`) on descriptor 3: JSON, one message a line. Read here
 * and not by Node, which throws an exception nobody can catch on a line that is no JSON, and holds
 * a line without an end in memory: one line of one agent ended the launcher, and with it the swarm.
 */
const CHANNEL = { NODE_CHANNEL_FD: '3', NODE_CHANNEL_SERIALIZATION_MODE: 'json' } as const;
const CHANNEL_FD = 3;
/** What a process says of itself fits many times over. */
const MAX_MESSAGE_BYTES = 256 * 1024;
const EXEC_TIMEOUT_MS = 5000;

/** Shell and setpriv replace themselves by Node within milliseconds; attested is what runs then. */
async function replaced(child: ChildProcess, node: string): Promise<boolean> {
  if (process.platform !== 'linux' || child.pid === undefined) return true;
  const deadline = performance.now() + EXEC_TIMEOUT_MS;
  while (runningExecutable(child.pid) !== node) {
    if (child.exitCode !== null || child.signalCode !== null) return false;
    if (performance.now() > deadline) return false;
    await delay(1);
  }
  return true;
}

async function claimsOf(
  spec: LaunchSpec,
  context: LaunchContext,
  started: { readonly pid: number; readonly startTime: number },
  credentials: Credentials | undefined,
): Promise<Omit<AttestationClaims, 'workload'>> {
  // What the store holds at this moment is attested, whatever it held when it was filled.
  const image = { ...spec.image.reference, digest: await storedDigest(spec.image) };
  const uid = credentials?.uid ?? process.getuid?.();
  const exe = await executableFile(context.node);
  return { ...started, exe, image, ...(uid === undefined ? {} : { uid }) };
}

/** The child's channel; `broken` once, when it says what is not the protocol. */
function openChannel(
  child: ChildProcess,
  receive: (message: FromChild) => void,
  broken: (why: string) => void,
): { send(message: ToChild): void } {
  const duplex = child.stdio[CHANNEL_FD] as Duplex | null | undefined;
  // A failed spawn has none; its error says why.
  if (duplex === null || duplex === undefined) return { send: () => {} };
  const lines = openLines(
    duplex,
    {
      line: (line) => {
        const message = parseFromChild(line);
        if (message !== undefined) return receive(message);
        broken('said over its channel what is not a message of a process');
        lines.close();
      },
      closed: (reason) => {
        if (reason !== 'ended') broken(`said over its channel what cannot be read (${reason})`);
      },
    },
    MAX_MESSAGE_BYTES,
  );
  return lines;
}

/**
 * Starts one process from the store with fixed arguments and environment, attests it, and lets it
 * begin when the issuer has acknowledged. What the child says over IPC is foreign input; one that
 * says what is not the protocol is killed, and started anew like any other that ended.
 * @param signal kills the process as long as `launch` has not resolved
 */
export async function launch(
  spec: LaunchSpec,
  context: LaunchContext,
  signal?: AbortSignal,
): Promise<Outcome<RunningProcess, LaunchCode>> {
  const native = spec.image.manifest.files.length > 1;
  const flags = hardeningFlags({
    hardening: spec.hardening,
    store: context.store,
    native,
    ...(spec.readFiles === undefined ? {} : { readFiles: spec.readFiles }),
    ...(spec.ownFolders === undefined ? {} : { ownFolders: spec.ownFolders }),
  });
  const args = [...flags, spec.image.main];
  const tied =
    context.lifeline.kind === 'parent-death-signal'
      ? parentDeathCommand(context.lifeline.setpriv, context.node, args)
      : ([context.node, args] as const);
  const credentials = context.uids?.of(spec.name);
  const [command, commandArgs] = withoutCore(
    ...underCredentials(context.uids, credentials, spec.capability, tied),
  );
  const log = openProcessLog(`${context.logs}/${spec.name}.log`);
  const child = spawn(command, commandArgs, {
    cwd: spec.image.folder,
    env: { ...ENVIRONMENT, ...CHANNEL },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', ...(spec.withLink === true ? ['pipe' as const] : [])],
    // A group of its own: Ctrl-C reaches the supervisor alone, which stops all in order.
    detached: true,
  });
  if (child.stdout !== null) log.take(child.stdout);
  if (child.stderr !== null) log.take(child.stderr);

  const listeners = new Set<(message: FromChild) => void>();
  const ready = Promise.withResolvers<Readiness | undefined>();
  const exit = Promise.withResolvers<ExitInfo>();
  let fatal: string | undefined;
  let quarantine: string | undefined;
  const receive = (message: FromChild): void => {
    if (message.type === 'fatal') fatal = message.detail;
    if (message.type === 'ready') {
      quarantine = undefined;
      ready.resolve('ready');
    }
    if (message.type === 'quarantined') {
      quarantine = message.detail;
      ready.resolve('quarantined');
    }
    for (const listener of listeners) listener(message);
  };
  const channel = openChannel(child, receive, (why) => {
    fatal ??= why;
    child.kill('SIGKILL');
  });
  child.on('close', (code, signal) => {
    ready.resolve(undefined);
    exit.resolve({ code, signal, detail: fatal ?? log.tail() });
    log.close();
  });

  const failed = async (why: string): Promise<Outcome<RunningProcess, LaunchCode>> => {
    if (child.pid !== undefined && child.exitCode === null) child.kill('SIGKILL');
    if (child.pid !== undefined)
      why += await exit.promise.then(({ detail }) => (detail ? `: ${detail}` : ''));
    else log.close();
    return refuse('SPAWN_FAILED', `${spec.name}: ${why}`);
  };
  const spawned = await Promise.race([
    once(child, 'spawn').then(() => undefined),
    once(child, 'error').then(([error]) => (error as NodeJS.ErrnoException).code ?? 'error'),
  ]).catch((error: NodeJS.ErrnoException) => error.code ?? 'error');
  child.on('error', () => {});
  const { pid } = child;
  if (spawned !== undefined || pid === undefined) return failed(`cannot be started (${spawned})`);
  if (!(await replaced(child, context.node))) return failed('did not come up');
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  signal?.addEventListener('abort', kill);
  if (signal?.aborted === true) kill();
  const startTime = await processStartTime(pid);
  if (startTime === undefined) return failed('ended at once');

  if (spec.workload !== undefined) {
    const claims = {
      ...(await claimsOf(spec, context, { pid, startTime }, credentials)),
      workload: spec.workload,
    };
    void exit.promise.then(() => context.exited(pid, startTime));
    const gone = exit.promise.then(() => refuse('SPAWN_FAILED', 'ended before it was attested'));
    const attested = await Promise.race([context.attest(claims), gone]);
    if (!attested.ok) return failed(`not attested: ${attested.detail}`);
  }
  let message: StartMessage;
  try {
    message = await spec.start();
  } catch (error) {
    return failed(`no start message: ${error instanceof Error ? error.message : String(error)}`);
  }
  signal?.removeEventListener('abort', kill);
  // Secrets go through the channel and nowhere else: not argv, not environment, not a file.
  channel.send(message);

  const link = spec.withLink === true ? (child.stdio[4] as unknown as Duplex) : undefined;
  const running: RunningProcess = {
    pid,
    startTime,
    quarantine: () => quarantine,
    ready: ready.promise,
    exited: exit.promise,
    ...(link === undefined ? {} : { link }),
    send: (toChild) => channel.send(toChild),
    onMessage: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    stop: (graceMs) =>
      endProcess(
        exit.promise,
        graceMs,
        () => running.send({ type: 'stop' }),
        (signal) => child.kill(signal),
      ),
    kill: () => child.kill('SIGKILL'),
  };
  return accept(running);
}
