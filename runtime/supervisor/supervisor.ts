import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { NO_PID, type RunningProcess } from '../launcher/running.ts';
import { pssKiB } from '../process-info.ts';
import {
  BACK_OFF,
  type BackOff,
  type Managed,
  type ManagedOptions,
  manage,
  outcomeOf,
} from './managed.ts';
import { levels, type PlanEntry, type ProcessPlan, type StepPlan } from './plan.ts';
import type { ProcessEvent, ProcessStatus, SwarmStatus } from './status.ts';

export interface SupervisorOptions {
  readonly plan: readonly PlanEntry[];
  readonly now: () => Date;
  /** From 0 (inclusive) to 1; spreads restarts. */
  readonly random: () => number;
  readonly backOff?: BackOff;
  readonly readyTimeoutMs?: number;
  readonly firstStartTries?: number;
  /** For each process: to ask, and half of it again for SIGTERM, before SIGKILL. */
  readonly stopGraceMs?: number;
}

type StartOutcome = Outcome<unknown, 'NOT_READY' | (string & {})>;

export interface Supervisor {
  /** Starts everything in order. When an entry cannot be made ready: what stands is stopped. */
  start(): Promise<StartOutcome>;
  /** Ends everything in reverse order, in bounded time. May be called at any time, and twice. */
  stop(): Promise<void>;
  status(): SwarmStatus;
  /** Starts one more process beside the plan: an agent that lives for a task. */
  add(plan: ProcessPlan): Promise<StartOutcome>;
  /** Ends a process for good. */
  remove(name: string): Promise<Outcome<unknown, 'NOT_READY'>>;
  /** Ends a process and begins its next life at once; see `Managed.restart`. */
  restart(
    name: string,
    between: () => Promise<Outcome<unknown>>,
  ): Promise<Outcome<unknown, 'NOT_READY' | (string & {})>>;
  /** The living process of that name, to send it a message or to follow its own. */
  process(name: string): RunningProcess | undefined;
  onEvent(listener: (event: ProcessEvent) => void): () => void;
  /** Notes what the issuer issued, for `status`. */
  noteIssued(spiffeId: string, serial: string, notAfter: string): void;
}

const READY_TIMEOUT_MS = 20_000;
const FIRST_START_TRIES = 3;
const STOP_GRACE_MS = 2000;

/** Carries out a plan and keeps its processes alive. It knows processes, not what they do. */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const order = levels(options.plan);
  const listeners = new Set<(event: ProcessEvent) => void>();
  const managedOptions: ManagedOptions = {
    backOff: options.backOff ?? BACK_OFF,
    readyTimeoutMs: options.readyTimeoutMs ?? READY_TIMEOUT_MS,
    firstStartTries: options.firstStartTries ?? FIRST_START_TRIES,
    now: options.now,
    random: options.random,
    emit: (event) => {
      for (const listener of listeners) listener(event);
    },
  };
  const grace = options.stopGraceMs ?? STOP_GRACE_MS;
  const managed = new Map<string, Managed>();
  for (const entry of order.flat()) {
    if (entry.kind === 'process') managed.set(entry.name, manage(entry, managedOptions));
  }
  const issued = new Map<string, { serial: string; notAfter: string }>();
  const stepsDone: StepPlan[] = [];
  let state: SwarmStatus['state'] = 'starting';
  let stopped: Promise<void> | undefined;

  /** Each entry begins as soon as what it needs is there, not level by level. */
  async function carryOut(): Promise<StartOutcome> {
    const done = new Map<string, Promise<StartOutcome>>();
    for (const entry of order.flat()) {
      const needs = entry.after.map((name) => done.get(name) ?? Promise.resolve(accept({})));
      done.set(entry.name, begin(entry, needs));
    }
    const outcomes = [...done.values()];
    const all = Promise.all(outcomes).then((list) => list.find((one) => !one.ok) ?? accept({}));
    // The first refusal ends the start at once, whatever else is still coming up.
    const failed = outcomes.map((one) => one.then((outcome) => (outcome.ok ? all : outcome)));
    return Promise.race(failed.length === 0 ? [all] : failed);
  }

  async function begin(
    entry: PlanEntry,
    needs: readonly Promise<StartOutcome>[],
  ): Promise<StartOutcome> {
    const missing = (await Promise.all(needs)).find((outcome) => !outcome.ok);
    if (missing !== undefined) return missing;
    if (stopped !== undefined) return refuse('NOT_READY', `${entry.name}: the swarm is stopping`);
    if (entry.kind === 'process') return managed.get(entry.name)?.start() ?? accept({});
    const outcome = await outcomeOf(entry.run());
    if (outcome.ok) stepsDone.push(entry);
    return outcome.ok ? outcome : refuse(outcome.code, `${entry.name}: ${outcome.detail}`);
  }

  async function stopAll(): Promise<void> {
    state = 'stopping';
    const planned = new Set(options.plan.map((entry) => entry.name));
    const extra = [...managed.values()].filter((one) => !planned.has(one.plan.name));
    await Promise.all(extra.map((one) => one.stop(grace)));
    for (const level of [...order].reverse()) {
      await Promise.all(
        level.map(async (entry) => {
          if (entry.kind === 'process') await managed.get(entry.name)?.stop(grace);
          else if (stepsDone.includes(entry)) await entry.undo?.();
        }),
      );
    }
    state = 'stopped';
  }

  const stop = (): Promise<void> => {
    stopped ??= stopAll();
    return stopped;
  };

  function statusOf(one: Managed): ProcessStatus {
    const { name, spiffeId } = one.plan;
    const running = one.running();
    const pid = running?.pid === NO_PID ? undefined : running?.pid;
    const pss = pid === undefined ? undefined : pssKiB(pid);
    const svid = spiffeId === undefined ? undefined : issued.get(spiffeId);
    const detail = one.detail();
    const report = one.report();
    return {
      name,
      state: one.state(),
      ...(pid === undefined ? {} : { pid }),
      ...(spiffeId === undefined ? {} : { spiffeId }),
      restarts: one.restarts(),
      since: one.since().toISOString(),
      ...svid,
      ...(pss === undefined ? {} : { pssKiB: pss }),
      ...(report === undefined ? {} : { report }),
      ...(detail === undefined ? {} : { detail }),
    };
  }

  return {
    start: async () => {
      const outcome = await carryOut();
      if (!outcome.ok) await stop();
      else if (stopped === undefined) state = 'running';
      return outcome;
    },
    stop,
    status: () => {
      const processes = [...managed.values()].map(statusOf);
      const own = pssKiB(process.pid);
      const total = processes.reduce((sum, one) => sum + (one.pssKiB ?? 0), own ?? 0);
      const at = options.now().toISOString();
      return { state, at, processes, ...(own === undefined ? {} : { pssKiB: total }) };
    },
    add: async (plan) => {
      if (stopped !== undefined) return refuse('NOT_READY', `${plan.name}: the swarm is stopping`);
      if (managed.has(plan.name)) return refuse('NOT_READY', `${plan.name}: runs already`);
      const one = manage(plan, managedOptions);
      managed.set(plan.name, one);
      const outcome = await one.start();
      if (outcome.ok) return outcome;
      await one.stop(grace);
      managed.delete(plan.name);
      return outcome;
    },
    remove: async (name) => {
      const one = managed.get(name);
      if (one === undefined) return refuse('NOT_READY', `${name}: no such process`);
      await one.stop(grace);
      managed.delete(name);
      return accept({});
    },
    restart: async (name, between) => {
      const one = managed.get(name);
      if (one === undefined) return refuse('NOT_READY', `${name}: no such process`);
      if (stopped !== undefined) return refuse('NOT_READY', `${name}: the swarm is stopping`);
      return one.restart(grace, between);
    },
    process: (name) => managed.get(name)?.running(),
    onEvent: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    noteIssued: (spiffeId, serial, notAfter) => {
      issued.set(spiffeId, { serial, notAfter });
    },
  };
}
