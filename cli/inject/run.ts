import type { Arena, OpenFoothold, Reverted } from '#scenarios/arena.ts';
import type { Scenario, WorksSeen } from '#scenarios/scenario.ts';
import {
  expectedOutcome,
  judge,
  type Outcome,
  type RefusalSeen,
  type Verdict,
} from '#scenarios/verdict.ts';
import { messageOf } from '../wiring/process.ts';
import { FootholdRefused } from './foothold.ts';
import { within } from './within.ts';

/** Something that was done or seen on the way, in the order of its happening. */
export interface StepTaken {
  readonly what: 'foothold' | 'control' | 'attack' | 'refusal' | 'goal' | 'settled' | 'revert';
  readonly text: string;
  readonly ok: boolean;
}

export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly arena: string;
  readonly verdict: Verdict;
  readonly expected: Outcome;
  readonly refusal: RefusalSeen | undefined;
  readonly steps: readonly StepTaken[];
  readonly reverted: Reverted | undefined;
}

export interface RunOptions {
  /** Aborts the run; what was changed is put back all the same. */
  readonly signal?: AbortSignal;
  readonly onStep?: (step: StepTaken) => void;
}

const TWIN_MS = 15_000;
const ATTACK_MS = 15_000;
const LOOK_MS = 20;
const LOOKS = 4;

/** Runs one scenario in one arena. Never throws for what the scenario or the swarm does. */
export async function runScenario(
  scenario: Scenario,
  arena: Arena,
  options: RunOptions = {},
): Promise<ScenarioResult> {
  const signal = options.signal ?? new AbortController().signal;
  const steps: StepTaken[] = [];
  const step = (what: StepTaken['what'], text: string, ok = true): void => {
    const taken = { what, text, ok };
    steps.push(taken);
    options.onStep?.(taken);
  };
  let twin: 'passed' | 'failed' | undefined;
  let goal: string | undefined;
  let refusal: RefusalSeen | undefined;
  let settled = false;
  let reverted: Reverted | undefined;
  let holder = '';
  let foothold: OpenFoothold | undefined;
  try {
    foothold = await arena.open(scenario, signal);
    holder = foothold.holder.id;
    step('foothold', `${scenario.foothold.kind}: ${foothold.holder.token}`);
    const first = await sayHonestly(scenario, arena, foothold, signal);
    twin = first === undefined ? 'failed' : 'passed';
    step('control', first ?? 'the honest twin did not pass', first !== undefined);
    if (first !== undefined && !signal.aborted) {
      const before = await look(arena);
      const observed = await strike(scenario, arena, foothold, before, signal, step);
      refusal = observed.refusal;
      // Refused is not yet "not reached": what comes later by the same way has to come through.
      const later = await sayHonestly(scenario, arena, foothold, signal);
      settled = later !== undefined;
      step('settled', later ?? 'nothing that came after the attack has passed', settled);
      goal = observed.goal ?? scenario.goal(await look(arena), before);
      if (goal !== undefined) step('goal', goal, false);
    }
  } catch (error) {
    step(foothold === undefined ? 'foothold' : 'attack', messageOf(error), false);
    if (error instanceof FootholdRefused) reverted = error.reverted;
  } finally {
    if (foothold !== undefined) reverted = await foothold.revert();
    if (reverted !== undefined) step('revert', reverted.detail, reverted.ok);
  }
  return {
    scenario,
    arena: arena.name,
    verdict: judge({ twin, goal, refusal, settled, holder }),
    expected: expectedOutcome(scenario.stoppedBy, arena.off),
    refusal,
    steps,
    reverted,
  };
}

/** The honest twin once; what was seen of it, or nothing when it did not pass in time. */
async function sayHonestly(
  scenario: Scenario,
  arena: Arena,
  foothold: OpenFoothold,
  signal: AbortSignal,
): Promise<string | undefined> {
  const at = new Date().toISOString();
  const seen = await within(TWIN_MS, signal, async (limit) => {
    const passed = arena.passed(scenario.passed, at, limit);
    await foothold.control(at);
    return passed;
  });
  return seen?.text;
}

/** The attack, until its goal is reached, or it is refused, or neither has come for long. */
async function strike(
  scenario: Scenario,
  arena: Arena,
  foothold: OpenFoothold,
  before: WorksSeen,
  signal: AbortSignal,
  step: (what: StepTaken['what'], text: string, ok?: boolean) => void,
): Promise<{ readonly goal: string | undefined; readonly refusal: RefusalSeen | undefined }> {
  const struck = Promise.withResolvers<bigint>();
  struck.promise.catch(() => {});
  const observed = await within(ATTACK_MS, signal, async (limit) => {
    const refused = arena.refused(scenario.refused, struck.promise, limit);
    const reached = goalReached(scenario, arena, before, limit);
    foothold.attack().then(struck.resolve, struck.reject);
    await struck.promise;
    step('attack', `${scenario.title}`);
    return Promise.race([
      refused.then((refusal) => ({ refusal, goal: undefined })),
      reached.then((goal) => ({ goal, refusal: undefined })),
    ]);
  });
  const { refusal } = observed ?? {};
  if (refusal !== undefined) {
    const who = refusal.named?.id ?? 'nobody';
    step('refusal', `${refusal.code} by ${refusal.title}, ${who} named`);
  }
  return { goal: observed?.goal, refusal };
}

/** On a busy machine the works may take long to answer once; not to see is not to see nothing. */
async function look(arena: Arena): Promise<WorksSeen> {
  for (let tries = LOOKS; ; tries -= 1) {
    try {
      return await arena.works();
    } catch (error) {
      if (tries === 0) throw error;
    }
  }
}

async function goalReached(
  scenario: Scenario,
  arena: Arena,
  before: WorksSeen,
  signal: AbortSignal,
): Promise<string> {
  while (!signal.aborted) {
    const now = await arena.works().catch(() => before);
    const goal = scenario.goal(now, before);
    if (goal !== undefined) return goal;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return new Promise(() => {});
}
