import type { RecordId } from '#custody/record.ts';
import { type Finding, MAX_SUMMARY } from '../finding.ts';
import { inert } from '../text.ts';
import type { Hit, Observation } from './analysis.ts';

/** An anomaly on its way to a finding. */
export interface Analysis {
  readonly id: string;
  readonly sensor: string;
  readonly stage: 'runbook' | 'model';
  readonly observation: Observation;
  readonly causes: readonly RecordId[];
  readonly hits: readonly Hit[];
  readonly degraded: Finding['degraded'];
}

/** The finding of an analysis: facts in the analyzer's own words, a model's words after them. */
export function conclude(
  { id, sensor, observation, hits }: Analysis,
  answer: Pick<Finding, 'proposal' | 'model' | 'degraded'> & { readonly words: string | undefined },
): Finding {
  const { reading, score, direction, expected } = observation;
  const { proposal, model, degraded, words } = answer;
  const followed = hits.find((hit) => proposal !== null && hit.tool === proposal.tool) ?? hits[0];
  const facts = `${reading.measure} ${reading.value} is ${direction}: ${round(expected)} expected, score ${round(score)}.`;
  return {
    type: 'finding',
    id,
    sensor,
    readingId: reading.id,
    measure: reading.measure,
    at: reading.at,
    value: reading.value,
    score,
    direction,
    summary: inert(words === undefined ? facts : `${facts} ${words}`, MAX_SUMMARY),
    runbook: followed === undefined ? null : inert(followed.id, 128),
    proposal,
    model,
    degraded,
  };
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
