import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createUsageMeter } from '#services/llm/usage.ts';
import { ANALYZER, SENSOR } from './world.ts';

test('counters slide: a call leaves after a minute, its tokens after an hour', () => {
  let now = 1_700_000_000_000;
  const meter = createUsageMeter(() => now);
  meter.book(ANALYZER, 100);
  expect(meter.usage(ANALYZER)).toEqual({ calls_minute: 1, tokens_hour: 100 });
  now += 60_000;
  expect(meter.usage(ANALYZER)).toEqual({ calls_minute: 0, tokens_hour: 100 });
  now += 60 * 60_000;
  expect(meter.usage(ANALYZER)).toEqual({ calls_minute: 0, tokens_hour: 0 });
  expect(meter.usage(SENSOR)).toEqual({ calls_minute: 0, tokens_hour: 0 });
});

test('an estimate is replaced by what was used, also when it settles late', () => {
  let now = 1_700_000_000_000;
  const meter = createUsageMeter(() => now);
  const settle = meter.book(ANALYZER, 1_000);
  now += 5 * 60_000;
  meter.book(ANALYZER, 7);
  settle(30);
  expect(meter.usage(ANALYZER).tokens_hour).toBe(37);
  const late = meter.book(ANALYZER, 50);
  now += 3 * 60 * 60_000;
  meter.book(ANALYZER, 5);
  late(0);
  expect(meter.usage(ANALYZER).tokens_hour).toBe(5);
});

test('the counters agree with a plain list of the bookings, to one slot', () => {
  const steps = fc.array(
    fc.record({
      wait: fc.integer({ min: 0, max: 90_000 }),
      tokens: fc.integer({ min: 0, max: 99 }),
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, (sequence) => {
      let now = 1_700_000_000_000;
      const meter = createUsageMeter(() => now);
      const booked: { at: number; tokens: number }[] = [];
      for (const { wait, tokens } of sequence) {
        now += wait;
        meter.book(ANALYZER, tokens);
        booked.push({ at: now, tokens });
      }
      const since = (ms: number) => booked.filter((one) => one.at > now - ms);
      const usage = meter.usage(ANALYZER);
      expect(usage.calls_minute).toBeLessThanOrEqual(since(60_000).length);
      expect(usage.calls_minute).toBeGreaterThanOrEqual(since(59_000).length);
      const tokens = (ms: number) => since(ms).reduce((sum, one) => sum + one.tokens, 0);
      expect(usage.tokens_hour).toBeLessThanOrEqual(tokens(3_600_000));
      expect(usage.tokens_hour).toBeGreaterThanOrEqual(tokens(3_540_000));
    }),
    { seed: 2, numRuns: 200 },
  );
});
