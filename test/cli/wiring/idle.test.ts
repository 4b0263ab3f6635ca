import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { whenIdle } from '#cli/wiring/idle.ts';
import type { RunningSwarm } from '#cli/wiring/swarm.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

type Reports = Record<string, Readonly<Record<string, unknown>>>;

/** A swarm that nothing comes from any more, as its processes report. */
function quiet(reports: Reports) {
  const running = {
    status: () => ({
      processes: Object.entries(reports).map(([name, report]) => ({ name, report })),
    }),
    ledger: { onEntry: () => () => {}, size: () => 7 },
    swarm: { agents: [{ config: { source: {} }, member: { token: 'sensor-cam-1' } }] },
  } as unknown as RunningSwarm;
  const state = { idle: false };
  void whenIdle(running).then(() => {
    state.idle = true;
  });
  return state;
}

const DONE = { 'sensor-cam-1': { phase: 'done' } };

test('a swarm whose sources have ended and in which nothing is under way is idle after a while', async () => {
  const state = quiet({ ...DONE, 'analyzer-1': { role: { open: 0 } }, ledger: { entries: 7 } });
  await vi.advanceTimersByTimeAsync(1000);
  expect(state.idle).toBe(false);
  await vi.advanceTimersByTimeAsync(2000);
  expect(state.idle).toBe(true);
});

test.each<[string, Reports]>([
  ['a source goes on', { 'sensor-cam-1': { phase: 'running' } }],
  ['a model has not answered yet', { ...DONE, 'analyzer-1': { role: { open: 1 } } }],
  ['a record has no receipt', { ...DONE, 'action-1': { ledger: { unconfirmed: 1 } } }],
  ['the view of the ledger is behind', { ...DONE, ledger: { entries: 8 } }],
])('it is not while %s, however quiet it is', async (_what, reports) => {
  const state = quiet(reports);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(state.idle).toBe(false);
});
