import { Command, CommanderError } from 'commander';
import { paint, UserError } from './output.ts';

/** Every verb. Only those that a command line names are loaded: a look at a swarm should be quick. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  up: async () => (await import('./commands/up.ts')).upCommand(),
  status: async () => (await import('./commands/status.ts')).statusCommand(),
  stop: async () => (await import('./commands/stop.ts')).stopCommand(),
  demo: async () => (await import('./commands/demo.ts')).demoCommand(),
  custody: async () => (await import('./commands/custody.ts')).custodyCommand(),
  identity: async () => (await import('./commands/identity.ts')).identityCommand(),
  scenarios: async () => (await import('./commands/scenarios.ts')).scenariosCommand(),
  inject: async () => (await import('./commands/inject.ts')).injectCommand(),
  why: async () => (await import('./commands/why.ts')).whyCommand(),
  doctor: async () => (await import('./commands/doctor.ts')).doctorCommand(),
};

const EXIT_USAGE = 2;

/** Whoever read the output has left, as `| head` does: nothing is wrong, and nobody is there to tell. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  // What runs a swarm stops it first; anything else has nothing to put away.
  if (process.listenerCount('SIGTERM') > 0) process.emit('SIGTERM', 'SIGTERM');
  else process.exit(0);
});

const program = new Command('swarmproof')
  .description('Run a swarm of AI agents with SPIFFE identities, and prove who did what.')
  .option('--debug', 'print stack traces')
  .option('--state-dir <dir>', 'where runs keep their state', '.swarmproof')
  .showHelpAfterError('(swarmproof --help shows every command)')
  .exitOverride();

const named = Object.keys(COMMANDS).filter((name) => process.argv.includes(name));
for (const name of named.length > 0 ? named : Object.keys(COMMANDS)) {
  const command = await COMMANDS[name]?.();
  if (command !== undefined) program.addCommand(command.exitOverride());
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
    process.exitCode = error instanceof UserError ? error.exitCode : 1;
  }
}
