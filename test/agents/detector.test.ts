import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DetectorParameters,
  detectorSchema,
  judge,
  startDetector,
} from '#agents/detector/detector.ts';
import { loadNab, NAB_MISSING, nabPresent, within } from './nab.ts';

const DEFAULTS = detectorSchema.parse({});

/** Positions of the incidents that are found. */
function incidents(values: readonly number[], parameters: DetectorParameters = DEFAULTS): number[] {
  let state = startDetector(parameters);
  const found: number[] = [];
  values.forEach((value, index) => {
    const judged = judge(parameters, state, value);
    state = judged.state;
    if (judged.anomaly !== undefined) found.push(index);
  });
  return found;
}

/** Deterministic texture around a level. */
function calm(length: number, level = 60, amplitude = 4): number[] {
  return Array.from(
    { length },
    (_, index) => level + amplitude * Math.sin(index * 1.7) * Math.cos(index * 0.37),
  );
}

describe('judging', () => {
  test('a series that never moves has no incident, and its first move is one', () => {
    expect(incidents(Array(1000).fill(42))).toEqual([]);
    expect(incidents([...Array(300).fill(42), 42.5, 41.9, 43, 42])).toEqual([]);
    expect(incidents([...Array(300).fill(42), 90, 91, 90])).toHaveLength(1);
    expect(incidents([...Array(300).fill(0), ...Array(20).fill(5)])).toHaveLength(1);
  });

  test('falls and rises are both incidents, with their direction', () => {
    for (const [value, direction] of [
      [10, 'low'],
      [160, 'high'],
    ] as const) {
      let state = startDetector(DEFAULTS);
      const directions: string[] = [];
      for (const each of [...calm(300), ...Array(5).fill(value)]) {
        const judged = judge(DEFAULTS, state, each);
        state = judged.state;
        if (judged.anomaly) directions.push(judged.anomaly.direction);
      }
      expect(directions).toEqual([direction]);
    }
  });

  test('one incident is one finding, and the next one after it is another', () => {
    const series = [...calm(300), ...Array(15).fill(12), ...calm(200), ...Array(15).fill(12)];
    const found = incidents([...series, ...calm(60)]);
    expect(found).toHaveLength(2);
    expect(found[0]).toBeGreaterThanOrEqual(300);
    expect(found[1]).toBeGreaterThanOrEqual(515);
  });

  test('incidents of half an hour to two hours do not teach it to ignore the next ones', () => {
    const series = [0, 1, 2, 3, 4, 5].flatMap((each) => [
      ...calm(190),
      ...Array(6 + each * 4).fill(15),
    ]);
    expect(incidents([...series, ...calm(30)])).toHaveLength(6);
  });

  test('what is no finite number changes nothing', () => {
    fc.assert(
      fc.property(fc.constantFrom(Number.NaN, Infinity, -Infinity), (odd) => {
        const state = startDetector(DEFAULTS);
        const judged = judge(DEFAULTS, state, odd);
        expect(judged).toEqual({ state, score: 0 });
      }),
    );
  });

  test('any numbers give scores between 0 and 1,000, and the same ones the same', () => {
    fc.assert(
      fc.property(fc.array(fc.double(), { minLength: 60, maxLength: 120 }), (values) => {
        const run = () => {
          let state = startDetector(DEFAULTS);
          return values.map((value) => {
            const { score, state: next } = judge(DEFAULTS, state, value);
            state = next;
            return score;
          });
        };
        const scores = run();
        for (const score of scores) {
          expect(score).toBeGreaterThanOrEqual(0);
          expect(score).toBeLessThanOrEqual(1000);
        }
        expect(run()).toEqual(scores);
      }),
      { seed: 3, numRuns: 50 },
    );
  });

  test('the unit of a series does not matter', () => {
    const series = [...calm(300), ...Array(8).fill(11), ...calm(100)];
    fc.assert(
      fc.property(fc.integer({ min: -20, max: 20 }), (power) => {
        expect(incidents(series.map((value) => value * 2 ** power))).toEqual(incidents(series));
      }),
      { seed: 4, numRuns: 20 },
    );
  });

  test('a swarm file with a warm-up longer than the window is refused', () => {
    expect(detectorSchema.safeParse({ window: 40 }).success).toBe(false);
    expect(detectorSchema.safeParse({ window: 48 }).success).toBe(true);
    expect(detectorSchema.safeParse({ windw: 48 }).success).toBe(false);
  });
});

describe.skipIf(!nabPresent())(`road series (${nabPresent() ? 'present' : NAB_MISSING})`, () => {
  function evaluate(parameters: DetectorParameters) {
    let found = 0;
    let outside = 0;
    for (const { rows, windows } of loadNab()) {
      const times = incidents(
        rows.map(({ value }) => value),
        parameters,
      ).map((index) => rows[index]?.at ?? 0);
      found += windows.filter((window) => times.some((at) => within(at, [window]))).length;
      outside += times.filter((at) => !within(at, windows)).length;
    }
    return { found, outside };
  }

  test('all five labelled incidents are found, with at most 12 others in three series', () => {
    const { found, outside } = evaluate(DEFAULTS);
    expect(found).toBe(5);
    expect(outside).toBeLessThanOrEqual(12);
  });

  const scaled = [
    'window',
    'warmup',
    'threshold',
    'floor',
    'lone',
    'history',
    'surprise',
    'refractory',
  ] as const;
  test.each(scaled)(
    'that holds with %s a fifth smaller or larger, with at most 25 others',
    (name) => {
      for (const factor of [0.8, 1.2]) {
        const value = DEFAULTS[name] * factor;
        const whole =
          Number.isInteger(DEFAULTS[name]) && name !== 'threshold' && name !== 'surprise';
        const parameters = detectorSchema.parse({ [name]: whole ? Math.round(value) : value });
        const { found, outside } = evaluate(parameters);
        expect({ name, factor, found }).toEqual({ name, factor, found: 5 });
        expect(outside).toBeLessThanOrEqual(25);
      }
    },
  );
});
