import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { type RunningProcess, within } from '../launcher/running.ts';
import type { ProcessPlan } from './plan.ts';
import type { ProcessEvent, ProcessState } from './status.ts';

/** Restart after n failures in a row: `baseMs * 2^n`, at most `maxMs`, ± `jitter` of it. */
export interface BackOff {
  readonly baseMs: number;
  readonly maxMs: number;
  /** Share of the pause, 0 to 1, by which it varies: what died together must not return together. */
  readonly jitter: number;
  /** A process that stayed ready so long starts again from `baseMs`. */
  readonly stableMs: number;
}

export const BACK_OFF: BackOff = { baseMs: 200, maxMs: 10_000, jitter: 0.3, stableMs: 30_000 };

/** @param random from 0 (inclusive) to 1 */
export function pauseMs(backOff: BackOff, failures: number, random: number): number {
  const pause = Math.min(backOff.baseMs * 2 ** Math.min(failures, 30), backOff.maxMs);
  return Math.round(pause * (1 + backOff.jitter * (2 * random - 1)));
}

export interface ManagedOptions {
  readonly backOff: BackOff;
  readonly readyTimeoutMs: number;
  /** Failed starts before the first success after which the swarm gives up. */
  readonly firstStartTries: number;
  readonly now: () => Date;
  readonly random: () => number;
  readonly emit: (event: ProcessEvent) => void;
}

/** One process and its lives. */
export interface Managed {
  readonly plan: ProcessPlan;
  state(): ProcessState;
  since(): Date;
  restarts(): number;
  detail(): string | undefined;
  running(): RunningProcess | undefined;
  /** Resolves at the first readiness, or with why it never came. */
  start(): Promise<Outcome<unknown, 'NOT_READY'>>;
  /** Ends it for good; restarts cease. */
  stop(graceMs: number): Promise<void>;
}

/** Keeps one process alive: every unexpected end is followed by a pause and a new life. */
export function manage(plan: ProcessPlan, options: ManagedOptions): Managed {
  const { name } = plan;
  let state: ProcessState = 'waiting';
  let since = options.now();
  let restarts = 0;
  let failures = 0;
  let everReady = false;
  let detail: string | undefined;
  let running: RunningProcess | undefined;
  let stopping = false;
  const first = Promise.withResolvers<Outcome<unknown, 'NOT_READY'>>();
  const stopRequested = Promise.withResolvers<void>();

  const enter = (next: ProcessState, why?: string): void => {
    state = next;
    since = options.now();
    detail = why;
  };
  const at = (): { at: string; name: string } => ({ at: options.now().toISOString(), name });

  /** One life, from start to end. Returns how long it was ready, in ms; undefined when never. */
  async function live(): Promise<number | undefined> {
    enter('starting');
    const started = await plan.start();
    if (!started.ok) {
      detail = started.detail;
      options.emit({ ...at(), type: 'start-failed', detail: started.detail });
      return undefined;
    }
    const life = started.value;
    running = life;
    options.emit({ ...at(), type: 'started', pid: life.pid, restarts });
    let readySince: number | undefined;
    const readiness = stopping ? undefined : await within(life.ready, options.readyTimeoutMs);
    if (readiness === undefined) {
      // Silent for too long or already gone; a living one is ended, its next life may fare better.
      if (!stopping) life.kill();
    } else {
      const done = (await plan.onReady?.(life)) ?? accept({});
      if (!done.ok) {
        detail = done.detail;
        life.kill();
      } else {
        readySince = options.now().getTime();
        everReady = true;
        if (!stopping) enter(readiness, life.quarantine());
        options.emit(
          readiness === 'ready'
            ? { ...at(), type: 'ready', pid: life.pid }
            : { ...at(), type: 'quarantined', pid: life.pid, detail: life.quarantine() ?? '' },
        );
        first.resolve(accept({}));
      }
    }
    const exit = await life.exited;
    running = undefined;
    const { code, signal } = exit;
    const said = detail ?? (exit.detail === '' ? `ended (${signal ?? code})` : exit.detail);
    options.emit({
      ...at(),
      type: 'exited',
      pid: life.pid,
      expected: stopping,
      code,
      signal,
      detail: said,
    });
    detail = said;
    return readySince === undefined ? undefined : options.now().getTime() - readySince;
  }

  async function keepAlive(): Promise<void> {
    while (!stopping) {
      const readyFor = await live();
      if (stopping) break;
      failures = readyFor !== undefined && readyFor >= options.backOff.stableMs ? 0 : failures + 1;
      if (!everReady && failures >= options.firstStartTries) {
        const why = `${name}: not ready after ${failures} starts: ${detail ?? 'no reason given'}`;
        first.resolve(refuse('NOT_READY', why));
      }
      const pause = pauseMs(options.backOff, failures - 1, options.random());
      enter('backing-off', detail);
      restarts += 1;
      options.emit({ ...at(), type: 'restarting', inMs: pause, restarts });
      await within(stopRequested.promise, pause);
    }
    enter('stopped', detail);
    first.resolve(refuse('NOT_READY', `${name}: stopped before it was ready`));
  }

  let life: Promise<void> | undefined;
  return {
    plan,
    state: () => state,
    since: () => since,
    restarts: () => restarts,
    detail: () => detail,
    running: () => running,
    start: () => {
      life ??= keepAlive();
      return first.promise;
    },
    stop: async (graceMs) => {
      stopping = true;
      stopRequested.resolve();
      if (life === undefined) return enter('stopped');
      enter('stopping', detail);
      await running?.stop(graceMs);
      await life;
    },
  };
}
