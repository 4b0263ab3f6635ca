import { z } from 'zod';
import { type DetectorState, detectorSchema, judge, startDetector } from '../detector/detector.ts';
import { fromBytes, toBytes } from '../json.ts';
import { parseReadingId, readingSchema } from '../reading.ts';
import { inert } from '../text.ts';
import {
  chatRequest,
  type ModelAnswer,
  readAnswer,
  readHits,
  runbookRequest,
  type ToolOffer,
} from './analysis.ts';
import { type Analysis, conclude } from './conclusion.ts';
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
import { NOTHING_SEEN, type Seen, see } from './seen.ts';

/** What an analyzer of the swarm file has beside role, district and name. */
export const analyzerSchema = z.strictObject({
  detector: detectorSchema.prefault({}),
  collection: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9_-]{0,46}[a-z0-9])?$/, 'a collection of the vector service')
    .default('runbooks'),
  /** The model it asks; without it the first that its role is granted. */
  model: z.string().min(1).max(128).optional(),
  maxTokens: z.int().min(1).max(4096).default(200),
  /** How long each of the two services may take. */
  timeoutMs: z.int().min(100).max(60_000).default(5000),
  /** Analyses under way at the same time. */
  concurrency: z.int().min(1).max(64).default(4),
});
export type AnalyzerConfig = z.infer<typeof analyzerSchema>;

export interface AnalyzerContext {
  /** The analyzer's own token. */
  readonly self: string;
  readonly config: AnalyzerConfig;
  readonly model: string;
  /** Exactly the tools that its role is granted. */
  readonly tools: readonly ToolOffer[];
}

interface Series {
  readonly source: string;
  readonly seen: Seen;
  readonly detector: DetectorState;
}

export interface AnalyzerState {
  /** By the sender's token: nobody but a sensor itself moves its series. */
  readonly series: ReadonlyMap<string, Series>;
  readonly open: ReadonlyMap<string, Analysis>;
  readonly readings: number;
  readonly malformed: number;
  readonly duplicates: number;
  readonly invalid: number;
  readonly findings: number;
  readonly degraded: number;
}

const MAX_SERIES = 4096;
/** A bound on what a silent model can pile up; each also ends by its calls' timeouts. */
const MAX_OPEN = 10_000;

/** Judges readings as they come, and for each incident looks up a runbook and asks the model. */
export function createAnalyzer(context: AnalyzerContext): Role<AnalyzerState> {
  return {
    initial: {
      series: new Map(),
      open: new Map(),
      readings: 0,
      malformed: 0,
      duplicates: 0,
      invalid: 0,
      findings: 0,
      degraded: 0,
    },
    status: ({ series, open, ...counts }) => ({ ...counts, series: series.size, open: open.size }),
    step: (state, event) => {
      switch (event.kind) {
        case 'message':
          return onReading(context, state, event.message);
        case 'result':
        case 'failure':
          return onAnswer(context, state, event);
        case 'input':
        case 'acted':
          return { state, intents: [] };
        default:
          return event satisfies never;
      }
    },
  };
}

function onReading(
  context: AnalyzerContext,
  state: AnalyzerState,
  message: RoleMessage,
): Step<AnalyzerState> {
  const parsed = readingSchema.safeParse(fromBytes(message.payload));
  const name = parsed.success ? parseReadingId(parsed.data.id) : undefined;
  // The signature proves the sender; a name in the payload proves nothing.
  if (!parsed.success || name?.sensor !== message.sender || name.row !== parsed.data.row) {
    return {
      state: { ...state, invalid: state.invalid + 1 },
      intents: [note('READING_INVALID', `record ${message.recordId} of ${message.sender}`)],
    };
  }
  const reading = parsed.data;
  const { detector: parameters } = context.config;
  const known = state.series.get(message.sender);
  const seen = see(known?.source === name.source ? known.seen : NOTHING_SEEN, name.row);
  if (seen === undefined) {
    return {
      state: { ...state, duplicates: state.duplicates + 1 },
      intents: [note('READING_DUPLICATE', reading.id)],
    };
  }
  const before = known?.detector ?? startDetector(parameters);
  const keep = (detector: DetectorState) =>
    remember(state.series, message.sender, { source: name.source, seen, detector }, MAX_SERIES);
  if (reading.type === 'malformed') {
    return {
      state: { ...state, series: keep(before), malformed: state.malformed + 1 },
      intents: [note('READING_MALFORMED', `${reading.id} ${reading.code}`)],
    };
  }
  const { state: detector, score, anomaly } = judge(parameters, before, reading.value);
  const next = { ...state, series: keep(detector), readings: state.readings + 1 };
  if (anomaly === undefined) return { state: next, intents: [] };
  const { direction, expected } = anomaly;
  const analysis: Analysis = {
    id: `${context.self}:${reading.id}`,
    sensor: message.sender,
    stage: 'runbook',
    observation: { reading, score, direction, expected },
    causes: [message.recordId],
    hits: [],
    degraded: [],
  };
  return {
    state: { ...next, open: remember(state.open, analysis.id, analysis, MAX_OPEN) },
    intents: [
      {
        kind: 'call',
        ref: analysis.id,
        service: 'vector',
        request: runbookRequest(context.config.collection, analysis.observation),
        causes: analysis.causes,
        timeoutMs: context.config.timeoutMs,
      },
    ],
  };
}

type Answer = Extract<AgentEvent, { kind: 'result' | 'failure' }>;

/** What stands in the way of using an answer: a failure's code, or the status; else undefined. */
function obstacle(event: Answer): string | undefined {
  if (event.kind === 'failure') return inert(`${event.code}: ${event.detail}`, 200);
  return event.response.status === 200 ? undefined : `status ${event.response.status}`;
}

function onAnswer(
  context: AnalyzerContext,
  state: AnalyzerState,
  event: Answer,
): Step<AnalyzerState> {
  const analysis = state.open.get(event.ref);
  if (analysis === undefined) return { state, intents: [] };
  const causes =
    event.kind === 'result' ? [...analysis.causes, event.recordId] : [...analysis.causes];
  return analysis.stage === 'runbook'
    ? onRunbook(context, state, { ...analysis, causes }, event)
    : onModel(context, state, { ...analysis, causes }, event);
}

function onRunbook(
  context: AnalyzerContext,
  state: AnalyzerState,
  analysis: Analysis,
  event: Answer,
): Step<AnalyzerState> {
  const trouble = obstacle(event);
  const hits = event.kind === 'result' && !trouble ? readHits(event.response.body) : undefined;
  const next: Analysis = {
    ...analysis,
    stage: 'model',
    hits: hits ?? [],
    degraded: hits === undefined ? ['runbook'] : [],
  };
  const { model, tools, config } = context;
  const call: Intent = {
    kind: 'call',
    ref: analysis.id,
    service: 'llm',
    request: chatRequest(
      { model, tools, maxTokens: config.maxTokens },
      analysis.observation,
      next.hits,
    ),
    causes: analysis.causes,
    timeoutMs: config.timeoutMs,
  };
  const said =
    hits === undefined
      ? [note('RUNBOOK_UNAVAILABLE', `${analysis.id}: ${trouble ?? 'answer is no list of points'}`)]
      : [];
  return {
    state: { ...state, open: remember(state.open, analysis.id, next, MAX_OPEN) },
    intents: [...said, call],
  };
}

function onModel(
  context: AnalyzerContext,
  state: AnalyzerState,
  analysis: Analysis,
  event: Answer,
): Step<AnalyzerState> {
  const trouble = obstacle(event);
  const answer: ModelAnswer =
    event.kind === 'result' && !trouble
      ? readAnswer(event.response.body)
      : { kind: 'nonsense', detail: trouble ?? '' };
  const intents: Intent[] = [];
  const proposed = answer.kind === 'proposal' ? answer.proposal : null;
  // A seat belt: policy refuses the call of such a tool wherever the proposal ends up.
  const granted = proposed !== null && context.tools.some(({ name }) => name === proposed.tool);
  if (answer.kind === 'nonsense') {
    const code = trouble === undefined ? 'MODEL_NONSENSE' : 'MODEL_UNAVAILABLE';
    intents.push(note(code, `${analysis.id}: ${answer.detail}`));
  }
  if (proposed !== null && !granted) {
    intents.push(note('PROPOSAL_NOT_GRANTED', `${analysis.id}: ${inert(proposed.tool, 128)}`));
  }
  const finding = conclude(analysis, {
    proposal: granted ? proposed : null,
    words: answer.kind === 'words' ? answer.text : undefined,
    model: trouble === undefined ? context.model : null,
    degraded: answer.kind === 'nonsense' ? [...analysis.degraded, 'model'] : analysis.degraded,
  });
  intents.push({
    kind: 'publish',
    message: 'finding',
    recordKind: 'msg',
    causes: analysis.causes,
    payload: toBytes(finding),
  });
  const next = {
    ...state,
    open: forget(state.open, analysis.id),
    findings: state.findings + 1,
    degraded: state.degraded + (finding.degraded.length > 0 ? 1 : 0),
  };
  return { state: next, intents };
}
