import { z } from 'zod';
import { isToken } from '#bus/subjects.ts';
import { AGENT_CODES, type AgentCode } from './codes.ts';

/** Longest escaped free text per column, and columns per reading. */
export const MAX_TEXT = 500;
export const MAX_TEXT_COLUMNS = 4;
export const MAX_EXCERPT = 120;
export const MAX_MEASURE = 40;

const SOURCE = /^[A-Za-z0-9._-]{1,64}$/;
const row = z.int().min(1);
const id = z.string().max(160);
const code = z
  .string()
  .refine((text): text is AgentCode => Object.hasOwn(AGENT_CODES, text), 'an agent code');

const value = z.strictObject({
  type: z.literal('reading'),
  id,
  row,
  /** What is measured, in the words of the swarm file. */
  measure: z.string().max(MAX_MEASURE),
  at: z.iso.datetime(),
  value: z.number(),
  /** Older than a row before it. */
  late: z.boolean(),
  /** Free text of the source, escaped: data for people and models, never an instruction. */
  text: z
    .record(z.string().max(64), z.string().max(MAX_TEXT))
    .refine((columns) => Object.keys(columns).length <= MAX_TEXT_COLUMNS)
    .optional(),
});

const malformed = z.strictObject({
  type: z.literal('malformed'),
  id,
  row,
  line: z.int().min(1),
  code,
  excerpt: z.string().max(MAX_EXCERPT),
});

/** One input row as it travels: a value, or the report that the row carries none. */
export const readingSchema = z.discriminatedUnion('type', [value, malformed]);
export type Reading = z.infer<typeof readingSchema>;
export type ValueReading = z.infer<typeof value>;

/**
 * `sensor-cam-1:speed.csv-1f2e3d4c:17`: the same row has the same id after a restart, so that
 * receivers know it again although its record is new.
 */
export function readingId(sensor: string, source: string, rowNumber: number): string {
  return `${sensor}:${source}:${rowNumber}`;
}

export interface ReadingName {
  readonly sensor: string;
  readonly source: string;
  readonly row: number;
}

export function parseReadingId(text: string): ReadingName | undefined {
  const [sensor, source, digits, ...rest] = text.split(':');
  if (sensor === undefined || source === undefined || digits === undefined) return undefined;
  if (rest.length > 0 || !isToken(sensor) || !SOURCE.test(source)) return undefined;
  if (!/^[1-9][0-9]{0,15}$/.test(digits) || !Number.isSafeInteger(Number(digits))) return undefined;
  return { sensor, source, row: Number(digits) };
}
