import { Command, CommanderError } from 'commander';
import { custodyCommand } from './commands/custody.ts';
import { demoCommand } from './commands/demo.ts';
import { doctorCommand } from './commands/doctor.ts';
import { statusCommand } from './commands/status.ts';
import { stopCommand } from './commands/stop.ts';
import { upCommand } from './commands/up.ts';
import { whyCommand } from './commands/why.ts';
import { paint } from './output.ts';

const EXIT_USAGE = 2;

const program = new Command('swarmproof')
  .description('Run a swarm of AI agents with SPIFFE identities, and prove who did what.')
  .option('--debug', 'print stack traces')
  .option('--state-dir <dir>', 'where runs keep their state', '.swarmproof')
  .showHelpAfterError('(swarmproof --help shows every command)')
  .exitOverride();

for (const command of [
  upCommand(),
  statusCommand(),
  stopCommand(),
  demoCommand(),
  custodyCommand(),
  whyCommand(),
  doctorCommand(),
]) {
  program.addCommand(command.exitOverride());
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  } else {
    const text = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${paint('red', 'swarmproof:', process.stderr)} ${text}\n`);
    if (program.opts<{ debug?: boolean }>().debug && error instanceof Error) {
      process.stderr.write(`${error.stack ?? ''}\n`);
    }
    process.exitCode = 1;
  }
}
