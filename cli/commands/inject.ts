import { Command, Option } from 'commander';
import { nearest } from '#runtime/swarm-file/suggest.ts';
import type { Arena } from '#scenarios/arena.ts';
import { SCENARIOS, scenarioOf } from '#scenarios/index.ts';
import type { Scenario } from '#scenarios/scenario.ts';
import { compromiseLines, isAsExpected, resultJson, runLines } from '../inject/lines.ts';
import { openArena, startSharedKeysArena, startSwarmArena } from '../inject/pair.ts';
import { runScenario, type ScenarioResult } from '../inject/run.ts';
import { onInterrupt } from '../interrupt.ts';
import { paint, print, printJson, UserError } from '../output.ts';
import { CONTROLS, type Control, isControl } from '../wiring/controls.ts';
import { buildImages } from '../wiring/images.ts';
import { DEFAULT_SWARM, environment, globals, runningFolder, runsFolder } from './options.ts';

interface InjectOptions {
  readonly run?: string;
  readonly off: readonly Control[];
  readonly json?: boolean;
}

const EXIT_USAGE = 2;

/** `swarmproof inject NAME`: one compromise, against shared keys and against this swarm. */
export function injectCommand(): Command {
  return new Command('inject')
    .description('run a compromise against shared keys and against this swarm')
    .argument('<name>', 'a scenario, see `swarmproof scenarios`')
    .option('--run <name>', 'the running swarm to attack, when several run')
    .addOption(
      new Option('--off <letters>', 'controls that are off in the swarm, such as B,S')
        .default([])
        .argParser(controls),
    )
    .option('--json', 'everything that was seen, as JSON')
    .action(async (name: string, options: InjectOptions, command: Command) => {
      const scenario = scenarioOf(name);
      if (scenario === undefined) return command.error(unknown(name), { exitCode: EXIT_USAGE });
      const interrupt = onInterrupt();
      const results = await runPair(scenario, options, command, interrupt.signal);
      if (options.json === true) printJson(results.map(resultJson));
      else tell(results);
      if (interrupt.signal.aborted) {
        const back = results.every(({ reverted }) => reverted?.ok !== false);
        const rest = back ? 'what was changed is put back' : 'NOT everything is put back';
        throw new UserError(`interrupted; ${rest}, no verdict`);
      }
      if (!results.every(isAsExpected)) process.exitCode = 1;
    });
}

function controls(text: string): readonly Control[] {
  const letters = text.split(/[, ]+/).filter((letter) => letter !== '');
  return letters.map((letter) => {
    const upper = letter.toUpperCase();
    if (isControl(upper)) return upper;
    const known = Object.entries(CONTROLS).map(([one, { title }]) => `${one} (${title})`);
    throw new UserError(`--off ${letter}: no such control; there are ${known.join(', ')}`);
  });
}

export function unknown(name: string): string {
  const ids = SCENARIOS.map(({ id }) => id);
  const near = nearest(name, ids);
  const hint = near === undefined ? `there are ${ids.join(', ')}` : `did you mean ${near}?`;
  return `no scenario '${name.slice(0, 60)}': ${hint}`;
}

/** Both arenas at once: each waits for its own most of the time. */
async function runPair(
  scenario: Scenario,
  options: InjectOptions,
  command: Command,
  signal: AbortSignal,
): Promise<readonly ScenarioResult[]> {
  const { natsServer, opa } = environment();
  const say = options.json === true ? () => {} : (line: string) => print(paint('dim', line));
  const given = globals(command);
  const running = options.off.length === 0 ? await runningFolder(given, options.run) : undefined;
  if (options.off.length > 0 && options.run !== undefined) {
    throw new UserError('--off needs a swarm of its own: a running one has its controls on');
  }
  await buildImages(say);
  const start = {
    file: DEFAULT_SWARM,
    natsServer,
    opa,
    runs: runsFolder(given),
    progress: say,
    signal,
  };
  if (running === undefined) say('no swarm is attacked that runs: one is started for this');
  const openings = [
    startSharedKeysArena(start),
    running === undefined
      ? startSwarmArena(start, options.off)
      : openArena(running.address, running.path),
  ];
  const runs = await Promise.allSettled(
    openings.map((opening) => inArena(opening, scenario, signal)),
  );
  return runs.map((run) => {
    if (run.status === 'rejected') throw run.reason;
    return run.value;
  });
}

async function inArena(
  opening: Promise<Arena>,
  scenario: Scenario,
  signal: AbortSignal,
): Promise<ScenarioResult> {
  const arena = await opening;
  try {
    return await runScenario(scenario, arena, { signal });
  } finally {
    await arena.close();
  }
}

function tell(results: readonly ScenarioResult[]): void {
  for (const result of results) {
    for (const line of runLines(result)) print(line);
    print();
  }
  for (const line of compromiseLines(results)) print(line);
}
