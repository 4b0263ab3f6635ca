import { z } from 'zod';
import { toBytes } from '../json.ts';
import { MAX_MEASURE, type Reading, readingId } from '../reading.ts';
import { sourceSchema } from '../sources/index.ts';
import type { SourceItem } from '../sources/source.ts';
import { inert } from '../text.ts';
import { note, type Role, type Step } from './role.ts';

/** What a sensor of the swarm file has beside role, district and name. */
export const sensorSchema = z.strictObject({
  source: sourceSchema,
  /** What its values are, for people and models. */
  measure: z
    .string()
    .regex(/^[A-Za-z0-9 _/%.-]+$/, 'letters, digits, spaces and _ / % . -')
    .max(MAX_MEASURE)
    .default('value'),
});
export type SensorConfig = z.infer<typeof sensorSchema>;

export interface SensorState {
  readonly rows: number;
  readonly malformed: number;
  readonly late: number;
  readonly broken: number;
}

/** Publishes each row of its source, also a malformed one: as the report that it carries none. */
export function createSensor(context: {
  /** The sensor's own token. */
  readonly self: string;
  readonly measure: string;
}): Role<SensorState> {
  return {
    initial: { rows: 0, malformed: 0, late: 0, broken: 0 },
    status: (state) => ({ ...state }),
    step(state, event): Step<SensorState> {
      if (event.kind !== 'input') return { state, intents: [] };
      const { item, source } = event;
      if (item.kind === 'broken') {
        return {
          state: { ...state, broken: state.broken + 1 },
          intents: [note('SOURCE_BROKEN', inert(item.detail, 200))],
        };
      }
      const publish = {
        kind: 'publish',
        message: 'reading',
        // A source has no cause inside the swarm: its records are where chains begin.
        recordKind: 'root',
        causes: [],
        payload: toBytes(payloadOf(context, readingId(context.self, source, item.row), item)),
      } as const;
      if (item.kind === 'malformed') {
        const said = note(item.code, `line ${item.line}: ${item.excerpt}`);
        return {
          state: { ...state, rows: state.rows + 1, malformed: state.malformed + 1 },
          intents: [said, publish],
        };
      }
      return {
        state: { ...state, rows: state.rows + 1, late: state.late + (item.late ? 1 : 0) },
        intents: [publish],
      };
    },
  };
}

function payloadOf(
  context: { readonly measure: string },
  id: string,
  item: Exclude<SourceItem, { kind: 'broken' }>,
): Reading {
  if (item.kind === 'malformed') {
    const { row, line, code, excerpt } = item;
    return { type: 'malformed', id, row, line, code, excerpt };
  }
  return {
    type: 'reading',
    id,
    row: item.row,
    measure: context.measure,
    at: item.at.toISOString(),
    value: item.value,
    late: item.late,
    ...(item.text === undefined ? {} : { text: item.text }),
  };
}
