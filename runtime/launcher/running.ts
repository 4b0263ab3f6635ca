import type { Duplex } from 'node:stream';
import type { FromChild, ToChild } from '../process-protocol.ts';

export interface ExitInfo {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What the process said last: its `fatal` message, else the end of its log. */
  readonly detail: string;
}

/** What another one started, perhaps in another container, has no PID here. */
export const NO_PID = 0;

export type Readiness = 'ready' | 'quarantined';

/** A living process that the launcher started. */
export interface RunningProcess {
  /** `NO_PID` for a broker that somebody else runs. */
  readonly pid: number;
  /** As `processStartTime` gives it. */
  readonly startTime: number;
  /** Why the process has no identity; set with readiness `quarantined`. */
  quarantine(): string | undefined;
  /** Resolves once: with undefined when the process ended before it was ready. */
  readonly ready: Promise<Readiness | undefined>;
  readonly exited: Promise<ExitInfo>;
  /** The duplex descriptor inherited at spawn (descriptor 4 of the child); the issuer's only. */
  readonly link?: Duplex;
  send(message: ToChild): void;
  /** Returns the function that stops it. */
  onMessage(listener: (message: FromChild) => void): () => void;
  /** Asks, then insists, then kills; resolves when the process is gone. */
  stop(graceMs: number): Promise<ExitInfo>;
  /** Tells a program to read its files again (SIGHUP); programs only. */
  reload?(): void;
  /** SIGKILL now. */
  kill(): void;
}

/** Waits for a promise, at most so long; the timer holds no process open. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Ends a process in bounded time, each step for its share of the grace: ask, SIGTERM, SIGKILL.
 * A process that is already gone costs nothing.
 */
export async function endProcess(
  exited: Promise<ExitInfo>,
  graceMs: number,
  ask: () => void,
  signal: (name: NodeJS.Signals) => void,
): Promise<ExitInfo> {
  ask();
  const asked = await within(exited, graceMs);
  if (asked !== undefined) return asked;
  signal('SIGTERM');
  const told = await within(exited, Math.ceil(graceMs / 2));
  if (told !== undefined) return told;
  signal('SIGKILL');
  return exited;
}
