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
  /** What the living process last reported of itself; its own words. */
  report(): Readonly<Record<string, unknown>> | undefined;
  /** Resolves at the first readiness, or with why it never came. */
  start(): Promise<Outcome<unknown, 'NOT_READY'>>;
  /** Ends it for good; restarts cease. */
  stop(graceMs: number): Promise<void>;
}

/** A throw is a bug of the wiring; it must not end the supervisor and all that it keeps alive. */
export async function outcomeOf<T>(work: Promise<Outcome<T>>): Promise<Outcome<T>> {
  try {
    return await work;
  } catch (error) {
    return refuse('NOT_READY', error instanceof Error ? error.message : String(error));
  }
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
  let report: Readonly<Record<string, unknown>> | undefined;
  let stopping = false;
  const first = Promise.withResolvers<Outcome<unknown, 'NOT_READY'>>();
  const abort = new AbortController();
  const aborted = Promise.withResolvers<void>();
  let graceMs = 0;

  const enter = (next: ProcessState, why?: string): void => {
    state = next;
    since = options.now();
    detail = why;
  };
  const at = (): { at: string; name: string } => ({ at: options.now().toISOString(), name });

  /** Later news of the process itself: an identity that was taken away, or given back. */
  const follow = (life: RunningProcess): (() => void) =>
    life.onMessage((message) => {
      if (message.type === 'status' && running === life) report = message.status;
      if (stopping || running !== life || (state !== 'ready' && state !== 'quarantined')) return;
      if (message.type === 'quarantined' && state !== 'quarantined') {
        enter('quarantined', message.detail);
        options.emit({ ...at(), type: 'quarantined', pid: life.pid, detail: message.detail });
      } else if (message.type === 'ready' && state !== 'ready') {
        enter('ready');
        options.emit({ ...at(), type: 'ready', pid: life.pid });
      }
    });

  async function becomeReady(life: RunningProcess): Promise<boolean> {
    const readiness = await within(life.ready, options.readyTimeoutMs);
    if (readiness === undefined || stopping) return false;
    const gone = life.exited.then(() => refuse('NOT_READY', 'ended while it was made ready'));
    const made = plan.onReady === undefined ? accept({}) : outcomeOf(plan.onReady(life));
    const done = await Promise.race([made, gone]);
    if (!done.ok) detail = done.detail;
    if (!done.ok || stopping) return false;
    const why = life.quarantine();
    enter(why === undefined ? 'ready' : 'quarantined', why);
    options.emit(
      why === undefined
        ? { ...at(), type: 'ready', pid: life.pid }
        : { ...at(), type: 'quarantined', pid: life.pid, detail: why },
    );
    return true;
  }

  /** One life, from start to end. Returns how long it was ready, in ms; undefined when never. */
  async function live(): Promise<number | undefined> {
    enter('starting');
    const started = await outcomeOf(plan.start(abort.signal));
    if (!started.ok) {
      detail = started.detail;
      options.emit({ ...at(), type: 'start-failed', detail: started.detail });
      return undefined;
    }
    const life = started.value;
    running = life;
    options.emit({ ...at(), type: 'started', pid: life.pid, restarts });
    const unfollow = follow(life);
    let readySince: number | undefined;
    if (await becomeReady(life)) {
      readySince = options.now().getTime();
      everReady = true;
      first.resolve(accept({}));
    } else if (stopping) {
      void life.stop(graceMs);
    } else {
      // Silent for too long or already gone; a living one is ended, its next life may fare better.
      life.kill();
    }
    const { code, signal, detail: last } = await life.exited;
    unfollow();
    running = undefined;
    report = undefined;
    const said = last === '' ? (detail ?? `ended (${signal ?? code})`) : last;
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
      await within(aborted.promise, pause);
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
    report: () => report,
    start: () => {
      life ??= keepAlive();
      return first.promise;
    },
    stop: async (grace) => {
      stopping = true;
      graceMs = grace;
      abort.abort();
      aborted.resolve();
      if (life === undefined) return enter('stopped');
      enter('stopping', detail);
      await running?.stop(grace);
      await life;
    },
  };
}
