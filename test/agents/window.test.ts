import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  emptyWindow,
  median,
  medianDeviation,
  push,
  quantile,
  type Window,
} from '#agents/detector/window.ts';

const values = fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), {
  minLength: 1,
  maxLength: 60,
});

function naiveMedian(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1
    ? upper
    : (sorted[middle - 1] as number) + (upper - (sorted[middle - 1] as number)) / 2;
}

function filled(list: readonly number[], capacity: number): Window {
  return list.reduce(push, emptyWindow(capacity));
}

test('a window holds the newest values, sorted, and its median and deviation are exact', () => {
  fc.assert(
    fc.property(values, fc.integer({ min: 1, max: 20 }), (list, capacity) => {
      const window = filled(list, capacity);
      const newest = list.slice(-capacity);
      expect([...window.sorted]).toEqual([...newest].sort((a, b) => a - b));
      const centre = naiveMedian(newest);
      expect(median(window)).toBe(centre);
      expect(medianDeviation(window, centre)).toBeCloseTo(
        naiveMedian(newest.map((value) => Math.abs(value - centre))),
        6,
      );
      expect(quantile(window, 1)).toBe(Math.max(...newest));
      expect(quantile(window, 0)).toBe(Math.min(...newest));
    }),
    { seed: 1 },
  );
});

test('pushing leaves the window that was pushed to as it was', () => {
  fc.assert(
    fc.property(values, fc.double({ noNaN: true }), (list, value) => {
      const window = filled(list, 10);
      const before = { ring: [...window.ring], sorted: [...window.sorted], next: window.next };
      push(window, value);
      expect({ ring: [...window.ring], sorted: [...window.sorted], next: window.next }).toEqual(
        before,
      );
    }),
    { seed: 2 },
  );
});
