import { afterAll, beforeAll, expect, test } from 'vitest';
import { entriesOf } from '#test/swarm/account.ts';
import { type Flow, flowWithout } from './off-flow.ts';

/** One whole swarm with every control off that can be: what is honest must still work. */
let flow: Flow;
beforeAll(async () => {
  flow = await flowWithout(['P', 'B', 'S']);
}, 120_000);
afterAll(() => flow?.close(), 60_000);

test('a reading becomes an order that the city works carry out', () => {
  expect(flow.works.orders.length).toBeGreaterThan(0);
  expect(Object.keys(flow.works.signals)).toEqual(['north']);
});

test('every process has its identity, each by an image of its own that CI has signed', () => {
  const { processes } = flow.running.status();
  expect(processes.filter(({ state }) => state !== 'ready')).toEqual([]);
});

test('the ledger holds what was done by whom, and no door refused anything', () => {
  const entries = entriesOf(flow.running);
  expect(entries.filter(({ type }) => type === 'equivocation')).toEqual([]);
  expect(flow.running.ledger.counts()).toMatchObject({ refusals: 0 });
  const acts = entries.filter(
    (entry) => entry.type === 'record' && entry.record.claims.knd === 'act',
  );
  expect(acts.length).toBeGreaterThan(0);
});
