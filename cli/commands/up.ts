import { join } from 'node:path';
import { Command, Option } from 'commander';
import { isWitness } from '#runtime/witness/names.ts';
import { onInterrupt } from '../interrupt.ts';
import { narrate } from '../narration.ts';
import { paint, print } from '../output.ts';
import { linkOf } from '../story/trace-links.ts';
import { serveSwarm } from '../wiring/control.ts';
import { whenIdle } from '../wiring/idle.ts';
import { buildImages } from '../wiring/images.ts';
import { type OpenJaeger, openJaeger } from '../wiring/jaeger.ts';
import { type RunningSwarm, startSwarm } from '../wiring/swarm.ts';
import { DEFAULT_SWARM, environment, globals, runsFolder } from './options.ts';

interface UpOptions {
  readonly input: readonly string[];
  readonly run: string;
  readonly untilDone?: boolean;
  /** `true` without a URL. */
  readonly jaeger?: string | true;
  readonly build: boolean;
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
    .option('--no-build', 'take the images as they are: their builder has the key, not this one')
    .option(
      '--jaeger [url]',
      'show traces in the Jaeger there, in one that runs here, or in its own',
    )
    .option('--json', 'one JSON object per line')
    .action(async (file: string, options: UpOptions, command: Command) => {
      const say = options.json === true ? () => {} : print;
      const stopped = onInterrupt();
      if (options.build) await buildImages((line) => say(paint('dim', line)));
      const runPath = join(runsFolder(globals(command)), options.run);
      const jaeger =
        options.jaeger === undefined
          ? undefined
          : await openJaeger({
              url: options.jaeger === true ? undefined : options.jaeger,
              otlp: environment().otlp?.url,
              runPath,
              environment: process.env,
              say: (line) => process.stderr.write(`${line}\n`),
              signal: stopped.signal,
            });
      try {
        await keepUp({ file, options, runPath, stopped, jaeger });
      } finally {
        await jaeger?.stop();
      }
    });
}

interface Upkeep {
  readonly file: string;
  readonly options: UpOptions;
  readonly runPath: string;
  readonly stopped: ReturnType<typeof onInterrupt>;
  readonly jaeger: OpenJaeger | undefined;
}

/** The swarm from its start to its end. */
async function keepUp({ file, options, runPath, stopped, jaeger }: Upkeep): Promise<void> {
  const settings = environment();
  const { opa, upstreamApiKey, brokerPort } = settings;
  const otlp = jaeger === undefined ? settings.otlp : { ...settings.otlp, url: jaeger.otlp };
  const json = options.json === true;
  const began = performance.now();
  const running = await startSwarm({
    file,
    inputs: options.input,
    runPath,
    runId: options.run,
    natsServer: brokerPort === undefined ? settings.natsServer : '',
    brokerPort,
    uids: settings.uids,
    opa,
    signal: stopped.signal,
    ...(upstreamApiKey !== undefined && { upstreamApiKey }),
    ...(otlp !== undefined && { otlp }),
  });
  const seconds = (performance.now() - began) / 1000;
  const control = await serveSwarm(running, stopped.request, jaeger?.ui);
  try {
    const stopNarration = narrate(running, {
      json,
      ...(jaeger !== undefined && { linkOf: (entry) => linkOf(entry, jaeger.ui, running) }),
    });
    if (!json) welcome(running, seconds);
    if (options.untilDone === true) tellEndless(running);
    if (jaeger !== undefined) tellJaeger(jaeger, json);
    running.traces.onTrouble((line) => process.stderr.write(`${line}\n`));
    await Promise.race([
      stopped.promise,
      ...(options.untilDone === true ? [whenIdle(running)] : []),
    ]);
    stopNarration();
    const counts = running.ledger.counts();
    if (json) print(JSON.stringify({ counts, alarms: running.alarms.list() }));
    else
      print(
        `Records ${counts.entries}, refusals ${counts.refusals}, alarms ${running.alarms.list().length}; stopping`,
      );
  } finally {
    await control.close();
    await running.stop();
  }
}

/** A source that is followed has no end to wait for. */
function tellEndless({ swarm }: RunningSwarm): void {
  const followed = swarm.agents.filter(({ config }) => {
    const source = (config as { source?: { follow?: boolean } }).source;
    return source?.follow === true;
  });
  if (followed.length === 0) return;
  const names = followed.map(({ member }) => member.name).join(', ');
  process.stderr.write(`--until-done: never, ${names} follows its file; Ctrl-C stops\n`);
}

function tellJaeger({ ui, kind }: OpenJaeger, json: boolean): void {
  if (json) print(JSON.stringify({ jaeger: ui, kind }));
  else print(`Traces in Jaeger: ${ui}${kind === 'started' ? ' (ends with the swarm)' : ''}`);
}

function welcome({ swarm, status }: RunningSwarm, seconds: number): void {
  const { processes } = status();
  const ready = processes.filter(({ state }) => state === 'ready').length;
  const count =
    ready === processes.length
      ? `${processes.filter(({ name }) => !isWitness(name)).length} processes, each with its own SVID`
      : `${ready} of ${processes.length} processes ready`;
  print(`${paint('bold', 'Swarmproof')}: ${swarm.name}    ${count}    ${seconds.toFixed(1)} s`);
  for (const one of processes.filter(({ state }) => state === 'quarantined')) {
    print(paint('yellow', `quarantined ${one.name}: ${one.detail ?? ''}`));
  }
  print(paint('dim', 'swarmproof status | custody show last | why last; Ctrl-C stops'));
}
