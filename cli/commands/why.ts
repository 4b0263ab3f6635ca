import { Command } from 'commander';
import { print, printJson, UserError } from '../output.ts';
import { swarmClient } from '../story/client.ts';
import { explain } from '../story/why.ts';
import { explanationLines } from '../story/why-lines.ts';
import { globals, runningSwarm } from './options.ts';

/** `swarmproof why`: which check refused, or which rules allowed, and who says so. */
export function whyCommand(): Command {
  return (
    new Command('why')
      .description('explain a refusal, a denial, or why an action was allowed')
      // Ids may begin with a dash.
      .allowUnknownOption()
      .argument(
        '<what>',
        "start of a record's id, @INDEX of an entry, or 'last': the newest refusal",
      )
      .option('--run <name>', 'which swarm, when several run')
      .option('--json', 'for programs')
      .action(async (what: string, options: { run?: string; json?: boolean }, command: Command) => {
        const client = swarmClient(await runningSwarm(globals(command), options.run));
        const story = await explain(client, what);
        if (options.json === true) printJson(story);
        else for (const line of explanationLines(story)) print(line);
        const proven = story.verdict === 'genuine' || story.verdict === 'told by the ledger';
        if (!proven) throw new UserError(`not proven: ${story.verdict}`);
      })
  );
}
