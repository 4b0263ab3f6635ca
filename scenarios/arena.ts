import type { Member } from '#bus/directory.ts';
import type { ControlLetter, Refused, Scenario, WorksSeen } from './scenario.ts';
import type { RefusalSeen } from './verdict.ts';

/** A foothold that was opened in a running swarm, and the attack's process that has it. */
export interface OpenFoothold {
  /** Whose it is: the agent whose code it is, or whose feed. */
  readonly holder: Member;
  /** The honest twin; `at` marks what it says. */
  control(at: string): Promise<void>;
  /** Resolves when all is sent, with the time of the first malicious byte. */
  attack(): Promise<Instant>;
  /** Ends the attack's process, puts back what was changed, and makes sure that it is back. */
  revert(): Promise<Reverted>;
}

/** Nanoseconds of the machine's monotonic clock. */
export type Instant = bigint;

export interface Reverted {
  readonly ok: boolean;
  /** What was looked at, one line. */
  readonly detail: string;
}

/** Something that was seen, with the time at which the runner learned of it. */
export interface Seen {
  readonly at: Instant;
  readonly text: string;
}

/** A running swarm as a runner sees it: from outside, with the operator's rights and no agent's. */
export interface Arena {
  /** `shared keys`, `this swarm`, `this swarm without B, S`. */
  readonly name: string;
  /** Controls that its wiring leaves out. */
  readonly off: readonly ControlLetter[] | 'all';
  readonly members: readonly Member[];
  /** The city works, by their own socket. */
  works(): Promise<WorksSeen>;
  /** Resolves when the reading with this mark is on record, or an order that came of it is done. */
  passed(what: Scenario['passed'], at: string, signal: AbortSignal): Promise<Seen>;
  /**
   * Resolves with the first refusal of that kind from now on, when its evidence is on record.
   * `since`: when the first malicious byte left; known later than the question is asked.
   */
  refused(what: Refused, since: Promise<Instant>, signal: AbortSignal): Promise<RefusalSeen>;
  /** Opens the scenario's foothold. @throws Error saying why it cannot be had. */
  open(scenario: Scenario, signal: AbortSignal): Promise<OpenFoothold>;
  /** Ends what it holds itself: watches, and a swarm that was started for it. */
  close(): Promise<void>;
}
