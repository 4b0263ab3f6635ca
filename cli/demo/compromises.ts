import type { Arena } from '#scenarios/arena.ts';
import { SCENARIOS } from '#scenarios/index.ts';
import { implantedImage } from '../inject/implant/images.ts';
import { compromiseLines, isAsExpected } from '../inject/lines.ts';
import { type ArenaOptions, servedArena, startSharedKeysArena } from '../inject/pair.ts';
import { runScenario, type ScenarioResult } from '../inject/run.ts';
import { imagesOf } from '../wiring/images.ts';
import type { RunningSwarm } from '../wiring/swarm.ts';
import { SHARED_KEYS } from '../wiring/variants.ts';
import { notObserved, type Observed } from './claims.ts';
import type { Screen } from './screen.ts';

/** Whatever the compromises run beside the swarm's own images, built before time is counted. */
export async function buildCompromiseImages(progress: (line: string) => void): Promise<void> {
  await imagesOf(SHARED_KEYS, progress);
  const roles = SCENARIOS.map(({ foothold }) => foothold).filter(
    ({ kind }) => kind === 'code in an agent',
  );
  for (const role of new Set(roles.map((foothold) => foothold.role))) {
    await implantedImage(role, 'shared keys');
    await implantedImage(role, []);
  }
}

/** Every scenario in one arena, one after the other; the arena is closed whatever happens. */
async function runAll(opening: Promise<Arena>, signal: AbortSignal): Promise<ScenarioResult[]> {
  const arena = await opening;
  const results: ScenarioResult[] = [];
  try {
    for (const scenario of SCENARIOS) {
      if (signal.aborted) break;
      results.push(await runScenario(scenario, arena, { signal }));
    }
  } finally {
    await arena.close();
  }
  return results;
}

/** The swarm as it was before is started beside this one, attacked, and stopped. */
export function attackSharedKeys(options: ArenaOptions, signal: AbortSignal) {
  return runAll(startSharedKeysArena({ ...options, signal }), signal);
}

/** The very swarm of the demo, with everything on. */
export function attackThis(running: RunningSwarm, signal: AbortSignal) {
  return runAll(servedArena(running, []), signal);
}

/** Both verdicts of each compromise, or the reason why one is not what the demo promises. */
export function tellCompromises(
  results: readonly ScenarioResult[],
  screen: Screen,
  seen: Observed,
): void {
  screen.say();
  for (const line of compromiseLines(results)) screen.say(line);
  const wrong = results.find((result) => !isAsExpected(result));
  if (wrong !== undefined || results.length !== 2 * SCENARIOS.length) {
    throw notObserved('compromises', wrong === undefined ? 'not all were run' : whyOf(wrong));
  }
  seen.compromises = results.map(({ verdict }) => verdict.outcome).join(', ');
}

function whyOf({ scenario, arena, verdict, reverted }: ScenarioResult): string {
  const back = reverted === undefined || reverted.ok ? '' : `; not put back: ${reverted.detail}`;
  const named = verdict.culprit?.correct === false ? '; the wrong one was named' : '';
  return `${scenario.id} with ${arena}: ${verdict.outcome}, ${verdict.why}${named}${back}`;
}
