import type { Outcome } from '#identity/outcome.ts';
import type { RunningProcess } from '../launcher/running.ts';

/** A process to keep alive. */
export interface ProcessPlan {
  readonly kind: 'process';
  readonly name: string;
  /** Names of plan entries that must be done or ready before. */
  readonly after: readonly string[];
  readonly spiffeId?: string;
  /** Starts it anew; called for the first start and for every restart. Aborted when the swarm stops. */
  readonly start: (signal: AbortSignal) => Promise<Outcome<RunningProcess>>;
  /** Runs when it is ready, before what comes after it; on restarts too. */
  readonly onReady?: (running: RunningProcess) => Promise<Outcome<unknown>>;
}

/** Something done once, such as making streams. */
export interface StepPlan {
  readonly kind: 'step';
  readonly name: string;
  readonly after: readonly string[];
  readonly run: () => Promise<Outcome<unknown>>;
  /** Undoes it when the swarm stops, after everything that came after it has ended. */
  readonly undo?: () => Promise<void>;
}

export type PlanEntry = ProcessPlan | StepPlan;

/**
 * The entries level by level: each level needs only earlier ones.
 * @throws Error for a double name, an unknown name or a circle: a plan is code, not input.
 */
export function levels(plan: readonly PlanEntry[]): readonly (readonly PlanEntry[])[] {
  const names = new Set(plan.map((entry) => entry.name));
  if (names.size !== plan.length) throw new Error('plan: a name appears twice');
  for (const entry of plan) {
    const unknown = entry.after.find((name) => !names.has(name));
    if (unknown !== undefined)
      throw new Error(`plan: ${entry.name} comes after unknown ${unknown}`);
  }
  const done = new Set<string>();
  const result: PlanEntry[][] = [];
  let rest = [...plan];
  while (rest.length > 0) {
    const level = rest.filter((entry) => entry.after.every((name) => done.has(name)));
    if (level.length === 0)
      throw new Error(`plan: ${rest.map(({ name }) => name).join(', ')} wait for each other`);
    for (const entry of level) done.add(entry.name);
    rest = rest.filter((entry) => !level.includes(entry));
    result.push(level);
  }
  return result;
}
