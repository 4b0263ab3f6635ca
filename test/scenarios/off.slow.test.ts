import { afterEach, beforeAll, expect, test } from 'vitest';
import { startSwarmArena } from '#cli/inject/pair.ts';
import { runScenario } from '#cli/inject/run.ts';
import type { Control } from '#cli/wiring/controls.ts';
import type { Arena } from '#scenarios/arena.ts';
import { images } from '#test/swarm/city.ts';
import { arenaOptions, scenario, told } from './arenas.ts';

let arena: Arena | undefined;
let options: Awaited<ReturnType<typeof arenaOptions>> | undefined;
beforeAll(() => images(), 300_000);
afterEach(async () => {
  await arena?.close();
  options?.remove();
});

async function run(id: string, off: readonly Control[]) {
  options = await arenaOptions();
  arena = await startSwarmArena(options, off);
  const result = await runScenario(scenario(id), arena);
  expect(result.reverted, told(result)).toMatchObject({ ok: true });
  expect(result.verdict.outcome, told(result)).toBe(result.expected);
  return result;
}

const CAM = 'spiffe://city.example/agent/sensor/north/cam-3';

test('without policy an injected order is carried out', async () => {
  const { verdict } = await run('prompt-injection', ['P']);
  expect(verdict.outcome).toBe('succeeded');
}, 300_000);

test('without broker permissions an impersonation ends at the door, by whose signature it is', async () => {
  const { verdict, refusal } = await run('agent-impersonation', ['B']);
  expect(verdict.outcome).toBe('stopped');
  expect(refusal).toMatchObject({ code: 'DOOR_SIGNER_NOT_PRESENTER', control: 'S' });
  expect(verdict.culprit).toEqual({ named: { id: CAM, by: 'its signature' }, correct: true });
}, 300_000);

test('without broker permissions and signatures an impersonation succeeds', async () => {
  const { verdict } = await run('agent-impersonation', ['B', 'S']);
  expect(verdict.outcome).toBe('succeeded');
}, 300_000);

test('broker permissions alone stop an impersonation where no signature is checked', async () => {
  const { verdict, refusal } = await run('agent-impersonation', ['S']);
  expect(verdict.outcome).toBe('stopped');
  expect(refusal).toMatchObject({ code: 'PUBLISH_DENIED', control: 'B' });
}, 300_000);
