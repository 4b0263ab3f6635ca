import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAsExpected } from '#cli/inject/lines.ts';
import { startSharedKeysArena, startSwarmArena } from '#cli/inject/pair.ts';
import { runScenario } from '#cli/inject/run.ts';
import type { Arena } from '#scenarios/arena.ts';
import { images } from '#test/swarm/city.ts';
import { arenaOptions, scenario, told } from './arenas.ts';

let options: Awaited<ReturnType<typeof arenaOptions>>;
let keys: Arena;
let here: Arena;

beforeAll(async () => {
  await images();
  options = await arenaOptions();
  [keys, here] = await Promise.all([startSharedKeysArena(options), startSwarmArena(options, [])]);
}, 300_000);
afterAll(async () => {
  await Promise.all([keys?.close(), here?.close()]);
  options?.remove();
});

const CAM = 'spiffe://city.example/agent/sensor/north/cam-3';

describe.each([
  ['agent-impersonation', 'PUBLISH_DENIED', 'B', 'the broker'],
  ['prompt-injection', 'TOOL_NOT_ALLOWED', 'P', 'by way of analyzer-1 and action-1'],
] as const)('%s', (id, code, control, by) => {
  test('reaches its goal with shared keys, where nobody is named', async () => {
    const result = await runScenario(scenario(id), keys);
    expect(result.verdict.outcome, told(result)).toBe('succeeded');
    expect(result.verdict.culprit).toBeUndefined();
    expect(result.refusal).toBeUndefined();
    expect(result.reverted, told(result)).toMatchObject({ ok: true });
    expect(isAsExpected(result)).toBe(true);
  }, 300_000);

  test(`is stopped here with ${code}, and names who holds the foothold`, async () => {
    const result = await runScenario(scenario(id), here);
    expect(result.verdict, told(result)).toMatchObject({
      outcome: 'stopped',
      culprit: { correct: true, named: { id: CAM, by: expect.stringContaining(by) } },
    });
    expect(result.refusal).toMatchObject({ code, control, entry: expect.any(String) });
    expect(result.refusal?.afterMs).toBeGreaterThan(0);
    expect(result.reverted, told(result)).toEqual({
      ok: true,
      detail: 'sensor-cam-3 runs its own image again, readings flow',
    });
    expect(isAsExpected(result)).toBe(true);
  }, 300_000);
});

test('a run that is interrupted is put back and has no verdict of success', async () => {
  const interrupt = new AbortController();
  const result = await runScenario(scenario('agent-impersonation'), here, {
    signal: interrupt.signal,
    onStep: ({ what }) => what === 'foothold' && interrupt.abort(),
  });
  expect(result.verdict.outcome).toBe('broken');
  expect(result.reverted, told(result)).toMatchObject({ ok: true });
}, 300_000);
