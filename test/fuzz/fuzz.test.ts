import { describe, expect, test } from 'vitest';
import { evidenceTargets } from './evidence.ts';
import { caseSeed } from './random.ts';
import { serverTargets } from './server.ts';
import { describeFailure, fuzz, runCase, type Target } from './target.ts';
import { identityTargets } from './targets.ts';

/** Runs of every suite find the same; `npm run fuzz` takes a new seed each time. */
const SEED = 20_300_615;
const CASES = 3_000;
const targets = [...(await identityTargets()), ...serverTargets(), ...evidenceTargets()];

describe('for any bytes, no parser throws and what must hold does', () => {
  test.each(targets)('$name', (target) => {
    const { done, failure } = fuzz(target, SEED, (count) => count < CASES);
    expect(failure && describeFailure(failure)).toBeUndefined();
    expect(done).toBe(CASES);
  });
});

describe('the fuzzer itself', () => {
  const short: Target = {
    name: 'short',
    seeds: [Buffer.from('abc')],
    check(input) {
      if (input.length > 3) throw new Error('too long');
    },
  };

  test('finds what does not hold, and says how to see it again', () => {
    const { failure } = fuzz(short, SEED, (count) => count < 1000);
    if (failure === undefined) throw new Error('nothing found');
    const again = runCase(short, failure.case);
    expect(again?.input).toEqual(failure.input);
    const told = describeFailure(failure);
    expect(told).toContain(`--target short --case ${failure.case}`);
    expect(told).toContain(Buffer.from(failure.input).toString('hex'));
  });

  test('one seed makes one run, another makes another', () => {
    const seeds = (seed: number) => Array.from({ length: 5 }, (_, n) => caseSeed(seed, n));
    expect(seeds(1)).toEqual(seeds(1));
    expect(new Set([...seeds(1), ...seeds(2)]).size).toBe(10);
  });

  test('seeds of every target are themselves accepted by its check', () => {
    for (const target of targets) {
      expect(target.seeds.length, target.name).toBeGreaterThan(0);
      for (const seed of target.seeds) target.check(seed);
    }
  });
});
