import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createRefusalLog, type RefusalLog } from '#identity/issuer/refusal-log.ts';

let lines: string[];
let log: RefusalLog;
beforeEach(() => {
  vi.useFakeTimers();
  lines = [];
  log = createRefusalLog((line) => lines.push(line));
});
afterEach(() => {
  log.close();
  vi.useRealTimers();
});
const minute = (): string[] => {
  lines.length = 0;
  vi.advanceTimersByTime(60_000);
  return lines;
};

test('the first refusal of a caller is told at once, the others by their number', () => {
  for (let n = 0; n < 1000; n += 1) log.note('10.0.0.7', 'TOKEN_UNKNOWN', 'no such token');
  log.note('10.0.0.7', 'TOKEN_USED', 'used');
  log.note('10.0.0.8', 'TOKEN_UNKNOWN', 'no such token');
  expect(lines).toEqual([
    '10.0.0.7 refused: TOKEN_UNKNOWN: no such token',
    '10.0.0.7 refused: TOKEN_USED: used',
    '10.0.0.8 refused: TOKEN_UNKNOWN: no such token',
  ]);
  expect(minute()).toEqual(['10.0.0.7 refused 999 more times: TOKEN_UNKNOWN']);
  expect(minute()).toEqual([]);
  // After a quiet minute it is news again.
  log.note('10.0.0.7', 'TOKEN_UNKNOWN', 'no such token');
  expect(lines).toEqual(['10.0.0.7 refused: TOKEN_UNKNOWN: no such token']);
});

test('callers without number are a number, and cost no memory', () => {
  for (let n = 0; n < 10_000; n += 1) log.note(`10.0.${n >> 8}.${n & 255}`, 'TOKEN_UNKNOWN', 'x');
  expect(lines).toHaveLength(256);
  expect(minute()).toEqual(['9744 more refusals of other callers']);
});

test('a line is not longer than a person reads, and the last number is told at the end', () => {
  log.note('10.0.0.7', 'NODE_REQUEST_INVALID', 'x'.repeat(10_000));
  expect(lines[0]?.length).toBeLessThan(400);
  log.note('10.0.0.7', 'NODE_REQUEST_INVALID', 'x');
  log.close();
  expect(lines.at(-1)).toBe('10.0.0.7 refused 1 more times: NODE_REQUEST_INVALID');
});
