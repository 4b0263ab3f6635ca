import { z } from 'zod';
import { findingSchema } from '../finding.ts';
import { fromBytes } from '../json.ts';
import { inert } from '../text.ts';
import {
  type AgentEvent,
  forget,
  type Intent,
  note,
  type Role,
  type RoleMessage,
  remember,
  type Step,
} from './role.ts';

/** What an action agent of the swarm file has beside role, district and name. */
export const actionSchema = z.strictObject({
  /** How long a tool may take, its own one repetition included. */
  timeoutMs: z.int().min(100).max(120_000).default(20_000),
  /** Orders under way at the same time. */
  concurrency: z.int().min(1).max(64).default(4),
});
export type ActionConfig = z.infer<typeof actionSchema>;

export interface ActionState {
  /** Findings received, newest last, at most 10,000: each has at most one order. */
  readonly received: ReadonlyMap<string, true>;
  /** Orders without an answer: finding id → tool. */
  readonly open: ReadonlyMap<string, string>;
  readonly findings: number;
  readonly duplicates: number;
  readonly invalid: number;
  readonly acts: number;
  readonly done: number;
  readonly refused: number;
  readonly unknown: number;
}

const MAX_RECEIVED = 10_000;
/** Answers of the tool server after which the order may or may not have been applied. */
const UNKNOWN_OUTCOMES: ReadonlySet<string> = new Set(['ORDER_OUTCOME_UNKNOWN']);

/**
 * Carries out what findings propose, once per finding. It judges no proposal: that is policy's, at
 * the tool server. An order without an answer is not repeated: its repetition would be a new
 * record, so a new order, and the first may have been applied.
 */
export function createAction(config: ActionConfig): Role<ActionState> {
  return {
    initial: {
      received: new Map(),
      open: new Map(),
      findings: 0,
      duplicates: 0,
      invalid: 0,
      acts: 0,
      done: 0,
      refused: 0,
      unknown: 0,
    },
    status: ({ received: _, open, ...counts }) => ({ ...counts, open: open.size }),
    step: (state, event) => {
      switch (event.kind) {
        case 'message':
          return onFinding(config, state, event.message);
        case 'acted':
        case 'failure':
          return onOutcome(state, event);
        case 'input':
        case 'result':
          return { state, intents: [] };
        default:
          return event satisfies never;
      }
    },
  };
}

function onFinding(
  config: ActionConfig,
  state: ActionState,
  message: RoleMessage,
): Step<ActionState> {
  const parsed = findingSchema.safeParse(fromBytes(message.payload));
  if (!parsed.success || !parsed.data.id.startsWith(`${message.sender}:`)) {
    return {
      state: { ...state, invalid: state.invalid + 1 },
      intents: [note('FINDING_INVALID', `record ${message.recordId} of ${message.sender}`)],
    };
  }
  const { id, proposal } = parsed.data;
  if (state.received.has(id)) {
    return {
      state: { ...state, duplicates: state.duplicates + 1 },
      intents: [note('FINDING_DUPLICATE', inert(id, 240))],
    };
  }
  const next = {
    ...state,
    received: remember(state.received, id, true, MAX_RECEIVED),
    findings: state.findings + 1,
  };
  if (proposal === null) return { state: next, intents: [] };
  const order: Intent = {
    kind: 'tool',
    ref: id,
    tool: proposal.tool,
    arguments: proposal.arguments,
    causes: [message.recordId],
    timeoutMs: config.timeoutMs,
  };
  const open = new Map(state.open).set(id, proposal.tool);
  return { state: { ...next, open, acts: state.acts + 1 }, intents: [order] };
}

function onOutcome(
  state: ActionState,
  event: Extract<AgentEvent, { kind: 'acted' | 'failure' }>,
): Step<ActionState> {
  const tool = state.open.get(event.ref);
  if (tool === undefined) return { state, intents: [] };
  const closed = { ...state, open: forget(state.open, event.ref) };
  const what = inert(`${tool} for ${event.ref}`, 400);
  if (event.kind === 'acted' && event.answer.done) {
    return { state: { ...closed, done: state.done + 1 }, intents: [note('ACT_DONE', what)] };
  }
  const { code, text } =
    event.kind === 'failure' ? { code: event.code, text: event.detail } : refusalOf(event.answer);
  const why = inert(`${code}: ${text}`, 300);
  if (event.kind === 'failure' || UNKNOWN_OUTCOMES.has(code)) {
    return {
      state: { ...closed, unknown: state.unknown + 1 },
      intents: [note('ACT_OUTCOME_UNKNOWN', `${what}: ${why}`)],
    };
  }
  return {
    state: { ...closed, refused: state.refused + 1 },
    intents: [note('ACT_REFUSED', `${what}: ${why}`)],
  };
}

function refusalOf(answer: Extract<AgentEvent, { kind: 'acted' }>['answer']) {
  return answer.done
    ? { code: '', text: '' }
    : { code: answer.refusal.code, text: answer.refusal.message };
}
