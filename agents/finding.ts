import { z } from 'zod';
import { MAX_MEASURE } from './reading.ts';

export const MAX_SUMMARY = 400;
export const MAX_ARGUMENTS = 2000;
const MAX_NAME = 128;

/** Parts of an analysis that could not be had. */
export const DEGRADATIONS = ['runbook', 'model'] as const;

/** JSON nested deeply enough can be parsed and not be written again: that is no reason to fall. */
function isSmall(given: unknown): boolean {
  try {
    return JSON.stringify(given).length <= MAX_ARGUMENTS;
  } catch {
    return false;
  }
}

const proposal = z.strictObject({
  tool: z.string().min(1).max(MAX_NAME),
  arguments: z
    .record(z.string().max(MAX_NAME), z.unknown())
    .refine((given) => isSmall(given), 'arguments too large or too deep'),
});
export type Proposal = z.infer<typeof proposal>;

/** What an analyzer concluded from one anomalous reading. */
export const findingSchema = z.strictObject({
  type: z.literal('finding'),
  /** `<analyzer token>:<reading id>` */
  id: z.string().max(240),
  sensor: z.string().max(64),
  readingId: z.string().max(160),
  measure: z.string().max(MAX_MEASURE),
  at: z.iso.datetime(),
  value: z.number(),
  score: z.number().min(0),
  direction: z.enum(['high', 'low']),
  summary: z.string().max(MAX_SUMMARY),
  runbook: z.string().max(MAX_NAME).nullable(),
  proposal: proposal.nullable(),
  /** The model that was asked and answered; null when none did. */
  model: z.string().max(MAX_NAME).nullable(),
  degraded: z.array(z.enum(DEGRADATIONS)),
});
export type Finding = z.infer<typeof findingSchema>;
