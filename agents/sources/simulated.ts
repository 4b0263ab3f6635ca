import { createHash } from 'node:crypto';
import { z } from 'zod';
import { accept, type Outcome } from '#identity/outcome.ts';
import type { Source, SourceItem } from './source.ts';

/** Rows before the first incident: the detector has seen half a day by then. */
const LEAD = 150;
const SPACING = 60;
const INCIDENT = 10;

export const simulatedSchema = z
  .strictObject({
    kind: z.literal('simulated'),
    seed: z.int().min(0).max(0xffff_ffff).default(1),
    rows: z.int().min(1).max(10_000_000).default(600),
    /** Incidents in which traffic nearly stands still, spread over the rows after the first 150. */
    anomalies: z.int().min(0).max(1000).default(0),
    /** Milliseconds between rows; 0: as fast as they are taken. */
    intervalMs: z.int().min(0).max(3_600_000).default(0),
  })
  .refine(
    (config) => config.rows >= (config.anomalies > 0 ? LEAD : 0) + SPACING * config.anomalies,
    {
      error: `rows too few for the anomalies: ${LEAD} and ${SPACING} more for each`,
      path: ['rows'],
    },
  );
export type SimulatedConfig = z.infer<typeof simulatedSchema>;

const START = Date.UTC(2026, 0, 5);
const STEP_MS = 300_000;
const FREE_FLOW = 62;
const TEXTURE = 2.5;

/** Mulberry32: 32 bits of state, the same sequence for a seed everywhere. Uniform in [0, 1). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** First row (from 1) of each incident; it lasts ten rows. */
export function incidentRows(config: SimulatedConfig): readonly number[] {
  const room = config.rows - LEAD;
  return Array.from({ length: config.anomalies }, (_, index) =>
    Math.floor(LEAD + (room * (index + 0.5)) / config.anomalies - INCIDENT / 2),
  );
}

/** Mean speeds on a road, one in five minutes of simulated time, a little lower at rush hours. */
export function openSimulated(config: SimulatedConfig): Outcome<Source, never> {
  const { intervalMs: _, ...shape } = config;
  const digest = createHash('sha256').update(JSON.stringify(shape)).digest('hex');
  return accept({
    name: `simulated-${digest.slice(0, 8)}`,
    items: rows(config),
    intervalMs: config.intervalMs,
    close: async () => {},
  });
}

async function* rows(config: SimulatedConfig): AsyncGenerator<SourceItem, void, undefined> {
  const random = generator(config.seed);
  const starts = new Set(incidentRows(config));
  let left = 0;
  for (let row = 1; row <= config.rows; row += 1) {
    if (starts.has(row)) left = INCIDENT;
    const time = START + (row - 1) * STEP_MS;
    const hour = (time % 86_400_000) / 3_600_000;
    const rush = Math.exp(-((hour - 8) ** 2) / 2) + Math.exp(-((hour - 17.5) ** 2) / 3);
    // The sum of three uniform numbers is near enough to normal noise, and bounded.
    const noise = (random() + random() + random() - 1.5) * 2 * TEXTURE;
    const usual = FREE_FLOW - 5 * rush + noise;
    const value = left > 0 ? usual * (0.2 + 0.15 * random()) : usual;
    left = Math.max(0, left - 1);
    yield {
      kind: 'value',
      row,
      at: new Date(time),
      value: Math.round(value * 100) / 100,
      late: false,
      text: undefined,
    };
  }
}
