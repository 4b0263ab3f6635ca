import { describe, expect, test } from 'vitest';
import { accept } from '#identity/outcome.ts';
import { BACK_OFF, pauseMs } from '#runtime/supervisor/managed.ts';
import { levels, type StepPlan } from '#runtime/supervisor/plan.ts';

function entry(name: string, after: readonly string[] = []): StepPlan {
  return { kind: 'step', name, after, run: async () => accept({}) };
}

describe('a plan', () => {
  test('is put into levels', () => {
    const names = levels([entry('c', ['a', 'b']), entry('a'), entry('b', ['a'])]).map((level) =>
      level.map(({ name }) => name),
    );
    expect(names).toEqual([['a'], ['b'], ['c']]);
  });

  test.each([
    ['a circle', [entry('a', ['b']), entry('b', ['a'])], 'wait for each other'],
    ['an unknown name', [entry('a', ['x'])], 'after unknown x'],
    ['a double name', [entry('a'), entry('a')], 'twice'],
  ])('with %s is a bug', (_what, plan, said) => {
    expect(() => levels(plan)).toThrow(said);
  });
});

describe('the pause before a restart', () => {
  test('doubles up to its limit, and varies by its jitter', () => {
    expect([0, 1, 2, 50].map((failures) => pauseMs(BACK_OFF, failures, 0.5))).toEqual([
      200, 400, 800, 10_000,
    ]);
    expect([0, 1].map((random) => pauseMs(BACK_OFF, 0, random))).toEqual([140, 260]);
  });
});
