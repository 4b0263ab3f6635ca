import { join } from 'node:path';
import { Command, Option } from 'commander';
import { onInterrupt } from '../interrupt.ts';
import { narrate } from '../narration.ts';
import { paint, print } from '../output.ts';
import { serveSwarm } from '../wiring/control.ts';
import { whenIdle } from '../wiring/idle.ts';
import { buildImages } from '../wiring/images.ts';
import { type RunningSwarm, startSwarm } from '../wiring/swarm.ts';
import { DEFAULT_SWARM, environment, globals, runsFolder } from './options.ts';

interface UpOptions {
  readonly input: readonly string[];
  readonly run: string;
  readonly untilDone?: boolean;
  readonly json?: boolean;
}

/** `swarmproof up [FILE]`: a swarm in the foreground until Ctrl-C, or until its sources are done. */
export function upCommand(): Command {
  return new Command('up')
    .description('start a swarm and keep it running; Ctrl-C stops it')
    .argument('[file]', 'swarm file', DEFAULT_SWARM)
    .addOption(
      new Option('--input <NAME=FILE>', 'let a sensor read a CSV or NDJSON file (repeatable)')
        .default([])
        .argParser((value: string, previous: string[]) => [...previous, value]),
    )
    .option('--run <name>', 'name of the run; two swarms need two names', 'default')
    .option('--until-done', 'stop when every source has ended and all that follows is done')
    .option('--json', 'one JSON object per line')
    .action(async (file: string, options: UpOptions, command: Command) => {
      const { natsServer, opa, upstreamApiKey, otlp } = environment();
      const say = options.json === true ? () => {} : print;
      const stopped = onInterrupt();
      const began = performance.now();
      await buildImages((line) => say(paint('dim', line)));
      const running = await startSwarm({
        file,
        inputs: options.input,
        runPath: join(runsFolder(globals(command)), options.run),
        runId: options.run,
        natsServer,
        opa,
        signal: stopped.signal,
        ...(upstreamApiKey !== undefined && { upstreamApiKey }),
        ...(otlp !== undefined && { otlp }),
      });
      const seconds = (performance.now() - began) / 1000;
      const control = await serveSwarm(running, stopped.request);
      try {
        const stopNarration = narrate(running, { json: options.json === true });
        if (options.json !== true) welcome(running, seconds);
        running.traces.onTrouble((line) => process.stderr.write(`${line}\n`));
        await Promise.race([
          stopped.promise,
          ...(options.untilDone === true ? [whenIdle(running)] : []),
        ]);
        stopNarration();
        const counts = running.ledger.counts();
        if (options.json === true) print(JSON.stringify({ counts }));
        else print(`Records ${counts.entries}, refusals ${counts.refusals}; stopping`);
      } finally {
        await control.close();
        await running.stop();
      }
    });
}

function welcome({ swarm, status }: RunningSwarm, seconds: number): void {
  const { processes } = status();
  const ready = processes.filter(({ state }) => state === 'ready').length;
  const count =
    ready === processes.length
      ? `${ready} processes, each with its own SVID`
      : `${ready} of ${processes.length} processes ready`;
  print(`${paint('bold', 'Swarmproof')}: ${swarm.name}    ${count}    ${seconds.toFixed(1)} s`);
  for (const one of processes.filter(({ state }) => state === 'quarantined')) {
    print(paint('yellow', `quarantined ${one.name}: ${one.detail ?? ''}`));
  }
  print(paint('dim', 'swarmproof status | custody show last | why last; Ctrl-C stops'));
}
