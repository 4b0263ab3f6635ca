import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { refusedIn, untilComplete } from '../demo/account.ts';
import { CLAIMS, type Claim, notObserved, type Observed, observed } from '../demo/claims.ts';
import { tellAncestry, tellIncident } from '../demo/incident.ts';
import { leftBehind } from '../demo/remains.ts';
import { tellRenewal } from '../demo/renewal.ts';
import { createScreen, type Screen } from '../demo/screen.ts';
import { tellStranger } from '../demo/stranger.ts';
import { type Interrupt, onInterrupt } from '../interrupt.ts';
import { paint, print, printJson, UserError } from '../output.ts';
import { buildImages } from '../wiring/images.ts';
import { type RunningSwarm, startSwarm } from '../wiring/swarm.ts';
import { DEFAULT_SWARM, environment, globals, runsFolder } from './options.ts';

/** `swarmproof demo`: the smart city on built-in data; every line is told by an observation. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('bring up the smart city, let it act, attack it, and prove who did what')
    .option('--json', 'the claims and what was observed, as JSON')
    .action(async (options: { json?: boolean }, command: Command) => {
      const { natsServer, opa, otlp } = environment();
      const say = options.json === true ? () => {} : print;
      const interrupt = onInterrupt();
      await buildImages((line) => say(paint('dim', line)));
      const began = performance.now();
      const runId = `demo-${process.pid}`;
      const runPath = join(runsFolder(globals(command)), runId);
      const running = await startSwarm({
        file: DEFAULT_SWARM,
        inputs: [],
        runPath,
        runId,
        natsServer,
        opa,
        signal: interrupt.signal,
        ...(otlp !== undefined && { otlp }),
      });
      const seen: Observed = {};
      const pids = running
        .status()
        .processes.flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
      try {
        tellReady(running, performance.now() - began, say, seen);
        await tell(running, interrupt, say, seen);
      } finally {
        await running.stop();
      }
      const remains = leftBehind(pids, running.run);
      if (remains.length > 0) throw new UserError(`left behind: ${remains.join(', ')}`);
      seen.stopped = `${pids.length} processes ended, no socket left`;
      await rm(runPath, { recursive: true, force: true });
      finish(seen, performance.now() - began, options.json === true);
    });
}

function tellReady(
  { swarm, status, isolation }: RunningSwarm,
  ms: number,
  say: (line?: string) => void,
  seen: Observed,
): void {
  const { processes } = status();
  const bare = processes.filter(
    ({ state, serial, name }) =>
      state !== 'ready' || (serial === undefined && name !== 'issuer' && name !== 'nats'),
  );
  if (bare.length > 0) throw notObserved('ready', bare.map(({ name }) => name).join(', '));
  const count = `${processes.length} processes, each with its own SVID`;
  say(
    `${paint('bold', 'Swarmproof')}: smart city    ${count}    ready in ${(ms / 1000).toFixed(1)} s`,
  );
  const sensor = sensorOf(swarm);
  say(paint('dim', `${sensor.id}   attested, renews every ${swarm.svidTtlSeconds / 2} s`));
  say(paint('dim', separationLine(isolation)));
  say();
  seen.ready = `${processes.length} processes`;
}

/** What one agent taken over is kept out of by the kernel, and not only by its flags. */
function separationLine(isolation: RunningSwarm['isolation']): string {
  return isolation.kind === 'uid-per-process'
    ? 'each process under a uid of its own'
    : `one uid for all processes: ${isolation.why}`;
}

function sensorOf({ agents }: RunningSwarm['swarm']) {
  const sensor = agents.find(({ config }) => 'source' in Object(config))?.member;
  if (sensor === undefined) throw new UserError('the swarm of the demo has no sensor');
  return sensor;
}

async function tell(
  running: RunningSwarm,
  { signal }: Interrupt,
  say: (line?: string) => void,
  seen: Observed,
): Promise<void> {
  const start = Date.now();
  const screen: Screen = createScreen(start, say);
  const stranger = await tellStranger(running, screen, seen, signal);
  const action = await tellIncident(running, screen, seen, signal);
  await tellRenewal(running, sensorOf(running.swarm), screen, seen, signal);
  tellAncestry(running, action, start, screen, seen);
  await tellRecords(running, [stranger], screen, seen, signal);
}

/** What the ledger holds at the end: nothing is missing, and nobody was refused by surprise. */
async function tellRecords(
  { ledger }: RunningSwarm,
  expected: readonly { readonly code: string; readonly by: string }[],
  screen: Screen,
  seen: Observed,
  signal: AbortSignal,
): Promise<void> {
  await observed('records', untilComplete(ledger), signal);
  const refused = refusedIn(ledger);
  const surprise = refused.find(
    (one) => !expected.some(({ code, by }) => code === one.code && by === one.by),
  );
  if (surprise !== undefined) {
    throw notObserved('records', `${surprise.code} by ${surprise.by} was not expected`);
  }
  const { entries } = ledger.counts();
  screen.say();
  screen.say(`Records ${entries}, missing 0   Refusals ${refused.length}, all expected`);
  seen.records = `${entries} records, ${refused.length} refusals`;
}

function finish(seen: Observed, ms: number, json: boolean): void {
  const missing = (Object.keys(CLAIMS) as Claim[]).filter((claim) => seen[claim] === undefined);
  if (json) printJson({ claims: CLAIMS, observed: seen, passed: missing.length === 0 });
  if (missing.length > 0) {
    throw new UserError(`not observed: ${missing.map((claim) => CLAIMS[claim]).join('; ')}`);
  }
  if (json) return;
  const claims = `all ${Object.keys(CLAIMS).length} claims observed`;
  print(`Next    npx --no-install swarmproof up`);
  print(`        npx --no-install swarmproof custody show last     (in another terminal)`);
  print(`${paint('green', 'PASS')}  ${claims}, everything stopped, ${(ms / 1000).toFixed(0)} s`);
}
