import { tmpdir } from 'node:os';
import { DEFAULT_SWARM } from '#cli/commands/options.ts';
import type { ArenaOptions } from '#cli/inject/pair.ts';
import type { ScenarioResult } from '#cli/inject/run.ts';
import { SCENARIOS } from '#scenarios/index.ts';
import type { Scenario } from '#scenarios/scenario.ts';
import { folder } from '#test/swarm/city.ts';
import { natsServer, opaIfThere } from '#test/tools.ts';

/** What arenas of a test are started with; `remove` takes their folder away. */
export async function arenaOptions(): Promise<ArenaOptions & { remove(): void }> {
  const { path, remove } = folder();
  const opa = await opaIfThere();
  return { file: DEFAULT_SWARM, natsServer: natsServer(), opa, runs: path, remove };
}

export function scenario(id: string): Scenario {
  const found = SCENARIOS.find((one) => one.id === id);
  if (found === undefined) throw new Error(`no scenario ${id} below ${tmpdir()}`);
  return found;
}

/** Everything that was done and seen, for the message of a test that fails. */
export function told({ steps, verdict }: ScenarioResult): string {
  return [verdict.why, ...steps.map(({ what, text }) => `${what}: ${text}`)].join('\n');
}
