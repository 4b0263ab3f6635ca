import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { isWitness, WITNESS_NAMES, type WitnessName } from '#runtime/witness/names.ts';
import { print, printJson, UserError } from '../output.ts';
import { rollOver } from '../wiring/custody-rollover.ts';
import { globals, must, runsFolder } from './options.ts';

interface RolloverOptions {
  readonly run: string;
  readonly log?: boolean;
  readonly witness: readonly WitnessName[];
  readonly replace: readonly WitnessName[];
  readonly json?: boolean;
}

function witnesses(text: string, before: readonly WitnessName[]): readonly WitnessName[] {
  if (isWitness(text)) return [...before, text];
  throw new InvalidArgumentError(`one of ${WITNESS_NAMES.join(', ')}`);
}

/** `swarmproof custody rollover`: other keys for the log and its witnesses, while the swarm is down. */
export function addRollover(custody: Command): void {
  custody
    .command('rollover')
    .description('change keys of the log and its witnesses, while the swarm is down')
    .option('--log', 'a new key for the log')
    .option('--witness <name>', 'a new key for this witness, which keeps its memory', witnesses, [])
    .option(
      '--replace <name>',
      'another witness in its place: lost, damaged, stolen',
      witnesses,
      [],
    )
    .option('--run <name>', 'which run', 'default')
    .option('--json', 'for programs')
    .action(async (options: RolloverOptions, command: Command) => {
      const { log = false, witness, replace } = options;
      if (!log && witness.length === 0 && replace.length === 0) {
        throw new UserError('say what gets another key: --log, --witness NAME, --replace NAME');
      }
      const runPath = join(runsFolder(globals(command)), options.run);
      const found = await stat(runPath).catch(() => undefined);
      if (found?.isDirectory() !== true) throw new UserError(`${runPath}: there is no such run`);
      const { from, policy } = must(
        await rollOver({ runPath, log, witnesses: witness, replaced: replace, clock: Date.now }),
      );
      const keys = {
        from,
        log: policy.log.map(({ vkey }) => vkey),
        witnesses: policy.witnesses.map(({ vkey }) => vkey),
        quorum: policy.quorum,
      };
      if (options.json === true) return printJson(keys);
      print(`From ${from} entries on these keys are in force; the next start enters the change:`);
      for (const vkey of keys.log) print(`  log      ${vkey}`);
      for (const vkey of keys.witnesses) print(`  witness  ${vkey}`);
      print("Then give readers a new trust file ('swarmproof custody trust'): the one they have");
      print('believes the former keys until it is renewed.');
    });
}
