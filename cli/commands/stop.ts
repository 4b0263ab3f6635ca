import { Command } from 'commander';
import { askControl } from '#runtime/control/client.ts';
import { print } from '../output.ts';
import { globals, must, runningSwarm } from './options.ts';

/** How long a swarm of many processes may take to end. */
const WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 100;

/** `swarmproof stop`: ends a swarm that runs in another terminal. */
export function stopCommand(): Command {
  return new Command('stop')
    .description('stop a swarm that runs in another terminal')
    .option('--run <name>', 'which swarm, when several run')
    .action(async (options: { run?: string }, command: Command) => {
      const address = await runningSwarm(globals(command), options.run);
      must(await askControl(address, 'stop'));
      const deadline = performance.now() + WITHIN_MS;
      while (performance.now() < deadline) {
        const answer = await askControl(address, 'status');
        if (!answer.ok) {
          print('stopped');
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      }
      print('asked to stop; it has not ended yet');
    });
}
