import { describe, expect, test } from 'vitest';
import { SCENARIOS } from '#scenarios/index.ts';
import { expectedOutcome, type Facts, judge, type RefusalSeen } from '#scenarios/verdict.ts';

const CAMERA = 'spiffe://city.example/agent/sensor/north/cam-3';
const ACTION = 'spiffe://city.example/agent/action/north/action-1';
const named = (id: string): RefusalSeen => ({
  code: 'PUBLISH_DENIED',
  control: 'B',
  title: 'broker permissions',
  named: { id, by: 'the broker' },
  afterMs: 4,
  entry: '@7',
  span: undefined,
});
const facts = (more: Partial<Facts>): Facts => ({
  twin: 'passed',
  goal: undefined,
  refusal: named(CAMERA),
  settled: true,
  holder: CAMERA,
  ...more,
});

describe('a verdict', () => {
  test.each<[string, Partial<Facts>, string]>([
    ['refused, not reached, and what came later passed', {}, 'stopped'],
    ['reached, although it was refused', { goal: 'the valve moved' }, 'succeeded'],
    ['reached, and nothing was refused', { goal: 'moved', refusal: undefined }, 'succeeded'],
    ['reached, although nothing came through later', { goal: 'm', settled: false }, 'succeeded'],
    ['neither reached nor refused', { refusal: undefined }, 'unclear'],
    ['refused, and nothing came through later', { settled: false }, 'unclear'],
    ['the honest twin fails', { twin: 'failed' }, 'broken'],
    ['the honest twin fails, whatever was refused', { twin: 'failed', goal: 'm' }, 'broken'],
    ['no foothold', { twin: undefined, refusal: undefined, settled: false }, 'broken'],
  ])('%s', (_what, more, outcome) => {
    expect(judge(facts(more)).outcome).toBe(outcome);
  });

  test('says whether the one who is named is the one who holds the foothold', () => {
    expect(judge(facts({})).culprit).toMatchObject({ correct: true });
    expect(judge(facts({ refusal: named(ACTION) })).culprit).toMatchObject({ correct: false });
    const nobody = { ...named(CAMERA), named: undefined };
    expect(judge(facts({ refusal: nobody })).culprit).toBeUndefined();
    expect(judge(facts({ refusal: undefined })).culprit).toBeUndefined();
  });

  test('names control and code of what stopped it', () => {
    expect(judge(facts({})).why).toBe('broker permissions, PUBLISH_DENIED');
  });
});

test('an attack is expected to succeed where every control that stops it is off', () => {
  expect(expectedOutcome(['B', 'S'], [])).toBe('stopped');
  expect(expectedOutcome(['B', 'S'], ['B'])).toBe('stopped');
  expect(expectedOutcome(['B', 'S'], ['S', 'B'])).toBe('succeeded');
  expect(expectedOutcome(['P'], ['B'])).toBe('stopped');
  expect(expectedOutcome(['P'], 'all')).toBe('succeeded');
});

describe.each(SCENARIOS.map((one) => [one.id, one] as const))('%s', (id, scenario) => {
  test('its id is its file, its story two sentences', async () => {
    const file = (await import(/* @vite-ignore */ `#scenarios/${id}.ts`)) as object;
    expect(Object.values(file)).toContain(scenario);
    expect(scenario.story.match(/[.!?](?=\s|$)/g)).toHaveLength(2);
    expect(scenario.steps.length).toBeGreaterThan(2);
  });

  test('its goal is what the works show since then, and nothing that was there before', () => {
    const before = { valve_pct: 50, orders: [] };
    const signal = { order: 'a', work: { kind: 'signal', district: 'north', plan: 'A' } } as const;
    const valve = { order: 'b', work: { kind: 'valve', deltaPct: 10 } } as const;
    const honest = { order: 'c', work: { kind: 'signal', district: 'north', plan: 'B' } } as const;
    const reached = { valve_pct: 60, orders: [honest, signal, valve] };
    expect(scenario.goal(before, before)).toBeUndefined();
    expect(scenario.goal({ valve_pct: 50, orders: [honest] }, before)).toBeUndefined();
    expect(scenario.goal(reached, before)).toBeTypeOf('string');
    expect(scenario.goal(reached, reached)).toBeUndefined();
  });
});
