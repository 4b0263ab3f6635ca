import { z } from 'zod';
import {
  emptyWindow,
  median,
  medianDeviation,
  push,
  quantile,
  size,
  type Window,
} from './window.ts';

/**
 * How a series is judged: `detector:` of an analyzer in the swarm file, the same for all series.
 * All lengths are counts of readings, never time: a sensor chooses its timestamps, so a clock
 * taken from them would let one false date blind the detector.
 */
export const detectorSchema = z
  .strictObject({
    /** Readings that make up "lately": about half a day at one reading in five minutes. */
    window: z.int().min(8).max(2000).default(144),
    /** Readings before the first judgement. */
    warmup: z.int().min(8).max(2000).default(48),
    /** Smallest score that is an anomaly, in robust standard deviations. */
    threshold: z.number().positive().max(1000).default(4),
    /** Smallest deviation counted as one, relative to the median: keeps calm series calm. */
    floor: z.number().positive().max(1).default(0.1),
    /** How much higher a lone value must stand than two in a row. */
    lone: z.number().min(1).max(10).default(1.5),
    /** Scores that a series' own habit is read from. */
    history: z.int().min(50).max(5000).default(1000),
    /** A score is unusual for this series when it exceeds `surprise` × this quantile of them. */
    quantile: z.number().min(0.5).max(0.999).default(0.95),
    surprise: z.number().positive().max(100).default(2),
    /** Calm readings after which the next anomaly is another incident. */
    refractory: z.int().min(1).max(2000).default(24),
  })
  .refine((detector) => detector.warmup <= detector.window, {
    error: 'warmup must not exceed window: the window never holds more readings than its length',
    path: ['warmup'],
  });
export type DetectorParameters = z.infer<typeof detectorSchema>;

/** What is known of one series. Plain data; every step returns a new one. */
export interface DetectorState {
  readonly values: Window;
  readonly scores: Window;
  readonly previous: number | undefined;
  /** Readings since the last anomalous one. */
  readonly calm: number;
  /** Anomalous readings of the incident under way. */
  readonly length: number;
}

export interface Anomaly {
  readonly direction: 'high' | 'low';
  /** Median of the window that the reading was compared with. */
  readonly expected: number;
  readonly threshold: number;
}

export interface Judgement {
  readonly state: DetectorState;
  /** Robust standard deviations from the median, 0 while warming up, at most 1,000. */
  readonly score: number;
  /** Present on the first anomalous reading of an incident only. */
  readonly anomaly?: Anomaly;
}

const MAX_SCORE = 1000;
/** Makes the MAD of a normal distribution its standard deviation. */
const NORMAL = 1.4826;
/**
 * An incident enters its series' habit with its first readings only: else one long incident would
 * teach the detector to ignore the next.
 */
const HABIT_PER_INCIDENT = 3;
/** Sums of two stay finite, and squares are never taken. */
const MAX_MAGNITUDE = 1e300;

export function startDetector(parameters: DetectorParameters): DetectorState {
  return {
    values: emptyWindow(parameters.window),
    scores: emptyWindow(parameters.history),
    previous: undefined,
    calm: Number.MAX_SAFE_INTEGER,
    length: 0,
  };
}

/**
 * Judges one value against the median and the median absolute deviation of the values before it,
 * in both directions, and against what is usual for the series: a road that jams every morning
 * raises its own bar. A value that is not a finite number changes nothing and scores 0.
 */
export function judge(
  parameters: DetectorParameters,
  state: DetectorState,
  reading: number,
): Judgement {
  if (!Number.isFinite(reading)) return { state, score: 0 };
  const value = Math.max(-MAX_MAGNITUDE, Math.min(MAX_MAGNITUDE, reading));
  const values = push(state.values, value);
  if (size(state.values) < parameters.warmup) {
    return { state: { ...state, values, previous: value }, score: 0 };
  }
  const centre = median(state.values);
  const scale = Math.max(
    NORMAL * medianDeviation(state.values, centre),
    parameters.floor * Math.abs(centre),
    Number.MIN_VALUE,
  );
  const pair = state.previous === undefined ? value : value / 2 + state.previous / 2;
  const alone = Math.abs(value - centre) / parameters.lone;
  const score = Math.min(MAX_SCORE, Math.max(Math.abs(pair - centre), alone) / scale);
  const usual =
    size(state.scores) < parameters.warmup ? 0 : quantile(state.scores, parameters.quantile);
  const threshold = Math.max(parameters.threshold, parameters.surprise * usual);

  const anomalous = score > threshold;
  const begins = anomalous && state.calm >= parameters.refractory;
  const length = begins ? 1 : state.length + (anomalous ? 1 : 0);
  const habitual = !anomalous || length <= HABIT_PER_INCIDENT;
  const next: DetectorState = {
    values,
    scores: habitual ? push(state.scores, score) : state.scores,
    previous: value,
    calm: anomalous ? 0 : Math.min(Number.MAX_SAFE_INTEGER, state.calm + 1),
    length,
  };
  if (!begins) return { state: next, score };
  const far = Math.abs(pair - centre) >= alone ? pair : value;
  return {
    state: next,
    score,
    anomaly: { direction: far > centre ? 'high' : 'low', expected: centre, threshold },
  };
}
