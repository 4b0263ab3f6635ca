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
  /**
   * Ends the present life in order and begins the next at once: no failure, so no pause. `between`
   * runs when the one has ended and before the other starts. Refused when the next life did not become ready; it is then tried
   * again like any other.
   */
  restart(graceMs: number, between: () => Promise<Outcome<unknown>>): Promise<Outcome<unknown>>;
  /** Ends it for good; restarts cease. */
  stop(graceMs: number): Promise<void>;
}

/** Another life that was asked for: `waiting` until the present one has ended. */
interface Replacement {
  waiting: boolean;
  readonly graceMs: number;
  begin(): Promise<void>;
  begun(outcome: Outcome<unknown>): void;
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
  let replacement: Replacement | undefined;
  const first = Promise.withResolvers<Outcome<unknown, 'NOT_READY'>>();
  const abort = new AbortController();
  /** Resolves when a pause need not be waited for: the end, or another life that was asked for. */
  let hurry = Promise.withResolvers<void>();
  let graceMs = 0;

  const waiting = (): boolean => replacement?.waiting === true;
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
    // Asked for while this one was on its way.
    if (replacement?.waiting === true) void life.stop(replacement.graceMs);
    let readySince: number | undefined;
    if (await becomeReady(life)) {
      readySince = options.now().getTime();
      everReady = true;
      first.resolve(accept({}));
      if (!waiting()) replacement?.begun(accept({}));
    } else if (stopping || waiting()) {
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
      expected: stopping || waiting(),
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
      if (waiting()) {
        await replacement?.begin();
        continue;
      }
      // The life that was asked for did not come up; it is tried again like any other.
      replacement?.begun(refuse('NOT_READY', `${name}: ${detail ?? 'ended before it was ready'}`));
      failures = readyFor !== undefined && readyFor >= options.backOff.stableMs ? 0 : failures + 1;
      if (!everReady && failures >= options.firstStartTries) {
        const why = `${name}: not ready after ${failures} starts: ${detail ?? 'no reason given'}`;
        first.resolve(refuse('NOT_READY', why));
      }
      const pause = pauseMs(options.backOff, failures - 1, options.random());
      enter('backing-off', detail);
      restarts += 1;
      options.emit({ ...at(), type: 'restarting', inMs: pause, restarts });
      hurry = Promise.withResolvers();
      if (!waiting() && !stopping) await within(hurry.promise, pause);
      if (waiting() && !stopping) await replacement?.begin();
    }
    enter('stopped', detail);
    replacement?.begun(refuse('NOT_READY', `${name}: stopped before it was ready`));
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
    restart: async (grace, between) => {
      if (stopping || life === undefined) {
        return refuse('NOT_READY', `${name}: ${stopping ? 'is being stopped' : 'has not started'}`);
      }
      if (replacement !== undefined) return refuse('NOT_READY', `${name}: is being replaced`);
      const begun = Promise.withResolvers<Outcome<unknown>>();
      replacement = {
        waiting: true,
        graceMs: grace,
        begin: async () => {
          const made = await outcomeOf(between());
          if (replacement !== undefined) replacement.waiting = false;
          // Without it the life that follows is one like the last.
          if (!made.ok) begun.resolve(made);
        },
        begun: (outcome) => begun.resolve(outcome),
      };
      hurry.resolve();
      await running?.stop(grace);
      const outcome = await begun.promise;
      replacement = undefined;
      return outcome;
    },
    stop: async (grace) => {
      stopping = true;
      graceMs = grace;
      abort.abort();
      hurry.resolve();
      if (life === undefined) return enter('stopped');
      enter('stopping', detail);
      await running?.stop(grace);
      await life;
    },
  };
}
