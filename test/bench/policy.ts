import { performance } from 'node:perf_hooks';
import { loadBundle } from '#policy/bundle.ts';
import { openPolicy } from '#policy/engine.ts';
import { allowedCases, swarmData } from '../policy/cases.ts';
import type { Measure } from './bus.ts';

const FOLDER = new URL('../../policy/', import.meta.url).pathname;
const DECISIONS = 5000;

/** Decisions of the embedded engine on one thread, over every kind of question. */
export async function benchPolicy(): Promise<Measure[]> {
  const policy = await openPolicy({ bundle: loadBundle(FOLDER, undefined).bytes, data: swarmData });
  const inputs = allowedCases.map(({ input }) => input);
  const ask = (count: number): void => {
    for (let done = 0; done < count; done += 1) {
      const input = inputs[done % inputs.length];
      if (input !== undefined) policy.decide(input);
    }
  };
  ask(DECISIONS / 10);
  const began = performance.now();
  ask(DECISIONS);
  const seconds = (performance.now() - began) / 1000;
  return [{ name: 'policy decisions, embedded', value: DECISIONS / seconds, unit: '/s' }];
}
