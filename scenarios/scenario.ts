import type { Member } from '#bus/directory.ts';
import type { TaxonomyId } from './taxonomy.ts';

/** Letters of the controls, as in the table of scenarios. */
export type ControlLetter = 'At' | 'T' | 'B' | 'S' | 'F' | 'P' | 'U' | 'L' | 'R';

/** What the city works show to the outside, by a path that no agent has. */
export interface WorksSeen {
  readonly valve_pct: number;
  readonly orders: readonly {
    /** Id of the message that asked for it. */
    readonly order: string;
    readonly work:
      | { readonly kind: 'signal'; readonly district: string; readonly plan: string }
      | { readonly kind: 'valve'; readonly deltaPct: number };
  }[];
}

/**
 * Code execution inside one agent: what its process has in memory, and the network. `at` marks a
 * message for whoever looks for it from outside; it is the time that the reading claims.
 */
export interface AgentHold {
  readonly kind: 'code in an agent';
  readonly self: Member;
  readonly members: readonly Member[];
  /** An ordinary reading in its own name. */
  read(at: string): Promise<void>;
  /** An order to the tool server in the name of that member, on whatever way that member has. */
  orderAs(
    member: Member,
    tool: string,
    given: Readonly<Record<string, unknown>>,
    strike: Strike,
  ): Promise<void>;
}

export interface FeedRow {
  /** ISO 8601; also marks the row for whoever looks for it from outside. */
  readonly at: string;
  readonly value: number;
  readonly note?: string;
}

/** Whoever writes to the feed that one sensor reads: rows at its end, nothing else. */
export interface FeedHold {
  readonly kind: 'text in a reading';
  append(rows: readonly FeedRow[]): Promise<void>;
}

export type Hold = AgentHold | FeedHold;

/** Called right before the first malicious byte; the time is taken there. */
export type Strike = () => void;

/** What the refusal that stops the attack is about: never whom it names. */
export type Refused =
  | { readonly by: 'subject'; readonly subject: (members: readonly Member[]) => string }
  | { readonly by: 'tool'; readonly tool: string };

interface Common<H extends Hold> {
  /** The file's name. */
  readonly id: string;
  readonly title: string;
  /** Two sentences for somebody who knows none of this. */
  readonly story: string;
  readonly taxonomy: {
    readonly asi: readonly TaxonomyId[];
    readonly llm: readonly TaxonomyId[];
    readonly mcp: readonly TaxonomyId[];
    readonly atlas: readonly TaxonomyId[];
    readonly cwe: readonly TaxonomyId[];
  };
  readonly foothold: {
    readonly kind: H['kind'];
    /** Of the agent that is held, or that reads the feed. */
    readonly role: string;
  };
  /** What is done, one line each. */
  readonly steps: readonly string[];
  /** The same way, honestly; `at` marks it. Where it does not pass, the scenario is broken. */
  readonly control: (hold: H, at: string) => Promise<void>;
  /** What of the honest twin is looked for: its reading on record, or an order that it led to. */
  readonly passed: 'recorded' | 'carried out';
  readonly attack: (hold: H, strike: Strike) => Promise<void>;
  /** In words, when the works show that the attack has reached its goal since `before`. */
  readonly goal: (now: WorksSeen, before: WorksSeen) => string | undefined;
  readonly refused: Refused;
  /** The controls of which each stops it alone, first the one that comes first. */
  readonly stoppedBy: readonly ControlLetter[];
  /** What tells of it: code of the refusal, and the place where it stands. */
  readonly detection: { readonly code: string; readonly where: string };
}

export type AgentScenario = Common<AgentHold> & {
  readonly foothold: { readonly kind: 'code in an agent' };
};
export type FeedScenario = Common<FeedHold> & {
  readonly foothold: { readonly kind: 'text in a reading' };
};

/** A compromise: data, and what is done with a foothold. It acts from outside, with what that gives. */
export type Scenario = AgentScenario | FeedScenario;

export function isAgentScenario(scenario: Scenario): scenario is AgentScenario {
  return scenario.foothold.kind === 'code in an agent';
}
