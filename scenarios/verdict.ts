import type { ControlLetter } from './scenario.ts';

/** Whom the evidence names: by the broker, by a signature, or by what a refused order came from. */
export interface Named {
  readonly id: string;
  /** How it is known, in a few words. */
  readonly by: string;
}

/** A refusal as the swarm itself recorded it. */
export interface RefusalSeen {
  readonly code: string;
  readonly control: ControlLetter | undefined;
  /** The control in words: `broker permissions`. */
  readonly title: string;
  readonly named: Named | undefined;
  /** From the first malicious byte to the moment at which the runner learned of it. */
  readonly afterMs: number;
  /** The ledger's entry, as `custody show` takes it. */
  readonly entry: string | undefined;
  /** The span of what was refused, where there is a trace of it. */
  readonly span: string | undefined;
}

/** What was observed of one run, none of it the attacker's word. */
export interface Facts {
  /** Absent: the foothold could not be had. */
  readonly twin: 'passed' | 'failed' | undefined;
  /** In words, from the city works. */
  readonly goal: string | undefined;
  readonly refusal: RefusalSeen | undefined;
  /** An honest message that came after the attack, by the same way, has passed. */
  readonly settled: boolean;
  /** Who really holds the foothold. */
  readonly holder: string;
}

export type Outcome = 'succeeded' | 'stopped' | 'broken' | 'unclear';

export interface Verdict {
  readonly outcome: Outcome;
  /** One line. */
  readonly why: string;
  /** Absent when nobody is named, or nothing was to be named. */
  readonly culprit: { readonly named: Named; readonly correct: boolean } | undefined;
}

/**
 * A goal that is reached is a success whatever was refused beside it. "Stopped" needs a refusal, and
 * that what came later has passed: else "not reached" is only "not yet".
 */
export function judge(facts: Facts): Verdict {
  const { twin, goal, refusal, settled, holder } = facts;
  const named = refusal?.named;
  const culprit = named && { named, correct: named.id === holder };
  const verdict = (outcome: Outcome, why: string): Verdict => ({ outcome, why, culprit });
  if (twin === undefined) return verdict('broken', 'the foothold could not be had');
  if (twin === 'failed') return verdict('broken', 'the honest twin did not pass');
  if (goal !== undefined) return verdict('succeeded', goal);
  if (refusal === undefined) {
    return verdict('unclear', 'the goal was not reached, and nothing was refused');
  }
  if (!settled) {
    return verdict('unclear', 'refused, but what came after the attack has not passed either');
  }
  return verdict('stopped', `${refusal.title}, ${refusal.code}`);
}

/** What a run should show: with the controls off that stop it, its goal; else a refusal. */
export function expectedOutcome(
  stoppedBy: readonly ControlLetter[],
  off: readonly ControlLetter[] | 'all',
): Outcome {
  if (off === 'all') return 'succeeded';
  return stoppedBy.every((letter) => off.includes(letter)) ? 'succeeded' : 'stopped';
}
