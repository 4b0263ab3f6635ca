import { expect, test } from 'vitest';
import type { Control } from '#cli/wiring/controls.ts';
import { flowWithout } from './off-flow.ts';

const SETS: readonly (readonly Control[])[] = [['P'], ['B'], ['S'], ['B', 'S'], ['B', 'P']];
const NAMED = SETS.map((off) => ({ off, names: off.join(' and ') }));

test.each(NAMED)(
  'with $names off a reading becomes an order',
  { timeout: 120_000 },
  async ({ off }) => {
    const { works, running, close } = await flowWithout(off);
    try {
      expect(works.orders.length).toBeGreaterThan(0);
      const { processes } = running.status();
      expect(processes.filter(({ state }) => state !== 'ready')).toEqual([]);
    } finally {
      await close();
    }
  },
);
