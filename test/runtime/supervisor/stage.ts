import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { accept } from '#identity/outcome.ts';
import { launch } from '#runtime/launcher/launch.ts';
import type { PlanEntry, ProcessPlan, StepPlan } from '#runtime/supervisor/plan.ts';
import type { ProcessEvent, ProcessStatus } from '#runtime/supervisor/status.ts';
import {
  createSupervisor,
  type Supervisor,
  type SupervisorOptions,
} from '#runtime/supervisor/supervisor.ts';
import { type Bench, createBench } from '../support.ts';

const FAST = { baseMs: 1, maxMs: 8, jitter: 0.3, stableMs: 30_000 };

export interface Stage {
  bench(): Bench;
  /** `instance pid` of every attestation since the test began. */
  readonly attested: readonly string[];
  /** PIDs whose end was told to the issuer since the test began. */
  readonly gone: readonly string[];
  readonly events: readonly ProcessEvent[];
  worker(name: string, after?: readonly string[], config?: unknown): ProcessPlan;
  /** A supervisor that is stopped after the test. */
  supervise(plan: readonly PlanEntry[], more?: Partial<SupervisorOptions>): Supervisor;
  /** Resolves with the n-th event of a type from a process. */
  event<T extends ProcessEvent['type']>(
    name: string,
    type: T,
    count?: number,
  ): Promise<Extract<ProcessEvent, { type: T }>>;
  stateOf(name: string): ProcessStatus | undefined;
}

/** For the tests of one file: a worker image built once, and a fresh supervisor for each test. */
export function useStage(): Stage {
  const attested: string[] = [];
  const gone: string[] = [];
  const events: ProcessEvent[] = [];
  const waiting: (() => void)[] = [];
  let bench: Bench;
  let supervisor: Supervisor | undefined;

  beforeAll(async () => {
    bench = await createBench({
      attest: async ({ pid, workload }) => {
        attested.push(`${workload.instance} ${pid}`);
        return accept({});
      },
      exited: (pid) => gone.push(String(pid)),
    });
  });
  beforeEach(() => {
    for (const list of [attested, gone, events, waiting]) list.length = 0;
    supervisor = undefined;
  });
  afterEach(() => supervisor?.stop());
  afterAll(() => bench.clear());

  const worker: Stage['worker'] = (name, after = [], config = { task: 'idle' }) => {
    const workload = {
      spiffeId: `spiffe://city.example/agent/sensor/north/${name}`,
      agentType: 'sensor',
      instance: name,
    };
    return {
      kind: 'process',
      name,
      after,
      spiffeId: workload.spiffeId,
      start: (signal) =>
        launch(bench.spec(config, 'sealed', { name, workload }), bench.context, signal),
    };
  };

  return {
    bench: () => bench,
    attested,
    gone,
    events,
    worker,
    supervise: (plan, more = {}) => {
      supervisor = createSupervisor({
        plan,
        now: () => new Date(),
        random: Math.random,
        backOff: FAST,
        stopGraceMs: 500,
        ...more,
      });
      events.length = 0;
      supervisor.onEvent((event) => {
        events.push(event);
        for (const wake of waiting.splice(0)) wake();
      });
      return supervisor;
    },
    event: async <T extends ProcessEvent['type']>(name: string, type: T, count = 1) => {
      for (;;) {
        const found = events.filter((one) => one.name === name && one.type === type)[count - 1];
        if (found !== undefined) return found as Extract<ProcessEvent, { type: T }>;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    stateOf: (name) => supervisor?.status().processes.find((one) => one.name === name),
  };
}

/** An entry of the plan that is no process. */
export function step(
  name: string,
  after: readonly string[],
  act: () => void,
  undo?: () => void,
): StepPlan {
  return {
    kind: 'step',
    name,
    after,
    run: async () => {
      act();
      return accept({});
    },
    ...(undo === undefined ? {} : { undo: async () => undo() }),
  };
}
