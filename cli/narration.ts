import { fromBytes } from '#agents/json.ts';
import { readingSchema } from '#agents/reading.ts';
import { inert } from '#agents/text.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import { paint } from './output.ts';
import { storyOfAlarm } from './story/alarm-lines.ts';
import { readOrder } from './story/payload.ts';
import { type Story, storyOf, storyOfEvent } from './story/stories.ts';
import { orderText } from './story/tell.ts';
import type { RunningSwarm } from './wiring/swarm.ts';

export { type Story, storyOf } from './story/stories.ts';

/** Tool and arguments of an MCP order, as they were signed. */
export function orderOf(payload: Uint8Array): string {
  const order = readOrder(payload);
  return order === undefined ? 'an order that cannot be read' : orderText(order);
}

export function readingValue(payload: Uint8Array): string | undefined {
  const reading = readingSchema.safeParse(fromBytes(payload));
  if (!reading.success || reading.data.type !== 'reading') return undefined;
  return inert(`${reading.data.measure} ${reading.data.value}`, 80);
}

/** Where narration goes; `isTTY` decides whether a running count is shown. */
export interface NarrationOutput {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface NarrationOptions {
  readonly json: boolean;
  readonly output?: NarrationOutput;
  /** Milliseconds of a monotonic clock. */
  readonly clock?: () => number;
  /** Where the trace of what an entry tells is seen; only what went wrong is asked about. */
  readonly linkOf?: (entry: LedgerEntry) => Promise<string | undefined>;
}

type Told = Pick<RunningSwarm, 'onEvent' | 'onPolicy'> & {
  /** Absent where nobody watches for what does not come. */
  readonly alarms?: Pick<RunningSwarm['alarms'], 'onAlarm'>;
  readonly ledger: Pick<RunningSwarm['ledger'], 'onEntry'>;
};

const COLOURS = { plain: 'cyan', warning: 'yellow', bad: 'red' } as const;
const COUNT_EVERY_MS = 1000;
/** Back to the first column, and nothing behind it. */
const ERASE_LINE = '\r\u001b[K';

/** Tells the swarm's story as it happens. Returns the function that stops it. */
export function narrate(running: Told, options: NarrationOptions): () => void {
  const output = options.output ?? process.stdout;
  const clock = options.clock ?? (() => performance.now());
  const began = clock();
  const since = (): string => {
    const seconds = Math.floor((clock() - began) / 1000);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  };
  let stopped = false;
  const counter = createCounter(output, options.json ? undefined : since, clock);

  const line = (story: Story, index?: number): void => {
    const { what, who, text, tone } = story;
    if (options.json) {
      const at = new Date().toISOString();
      output.write(
        `${JSON.stringify({ at, what, who, text, tone, ...(index !== undefined && { index }) })}\n`,
      );
      return;
    }
    counter.erase();
    output.write(`${since()} ${paint(COLOURS[tone], what.padEnd(11))} ${who.padEnd(12)} ${text}\n`);
  };
  const stops = [
    running.ledger.onEntry((entry) => {
      counter.count(entry);
      const story = storyOf(entry);
      if (story === undefined) return;
      line(story, entry.index);
      if (story.tone !== 'bad') return;
      // A link comes when the span does, a moment later; the line above has not waited for it.
      void options.linkOf?.(entry).then((link) => {
        if (link === undefined || stopped) return;
        line({ what: 'trace', who: story.who, text: link, tone: 'plain' }, entry.index);
      });
    }),
    running.onEvent((event) => {
      const story = storyOfEvent(event);
      if (story !== undefined) line(story);
    }),
    running.onPolicy((what) => {
      line({ what: 'policy', who: 'supervisor', text: inert(what, 160), tone: 'warning' });
    }),
    running.alarms?.onAlarm((alarm) => line(storyOfAlarm(alarm))) ?? (() => {}),
  ];
  return () => {
    stopped = true;
    for (const stop of stops) stop();
    counter.erase();
  };
}

/**
 * Readings are too many to be told: their number stands in the last line of a terminal, and is
 * written anew once a second at most. Into a file or a pipe nothing of it is written.
 */
function createCounter(
  output: NarrationOutput,
  since: (() => string) | undefined,
  clock: () => number,
) {
  let readings = 0;
  let shownAt = Number.NEGATIVE_INFINITY;
  let shown = false;
  const visible = output.isTTY === true && since !== undefined;
  return {
    count(entry: LedgerEntry): void {
      if (entry.type !== 'record') return;
      if (entry.record.claims.sbj.split('.')[1] !== 'reading') return;
      readings += 1;
      if (!visible || clock() - shownAt < COUNT_EVERY_MS) return;
      shownAt = clock();
      shown = true;
      output.write(`${ERASE_LINE}${since()} ${'readings'.padEnd(11)} ${readings} recorded`);
    },
    erase(): void {
      if (!shown) return;
      shown = false;
      output.write(ERASE_LINE);
    },
  };
}
