import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Command } from 'commander';
import { CLAIMS, type Claim, type Observed } from '../demo/claims.ts';
import { buildCompromiseImages } from '../demo/compromises.ts';
import { EVIDENCE_FILES } from '../demo/evidence.ts';
import { keepFiles, leftBehind, processesOf } from '../demo/remains.ts';
import { tellDemo, tellReady } from '../demo/tell.ts';
import { onInterrupt } from '../interrupt.ts';
import { paint, print, printJson, UserError } from '../output.ts';
import { buildImages } from '../wiring/images.ts';
import { startSwarm } from '../wiring/swarm.ts';
import { DEFAULT_SWARM, environment, globals, runsFolder } from './options.ts';

/** `swarmproof demo`: the smart city on built-in data; every line is told by an observation. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('bring up the smart city, let it act, attack it, and prove who did what')
    .option('--json', 'the claims and what was observed, as JSON')
    .action(async (options: { json?: boolean }, command: Command) => {
      const { natsServer, opa, otlp } = environment();
      const say = options.json === true ? () => {} : print;
      const progress = (line: string): void => say(paint('dim', line));
      const { signal } = onInterrupt();
      await buildImages(progress);
      await buildCompromiseImages(progress);
      const began = performance.now();
      const runs = runsFolder(globals(command));
      const runId = `demo-${process.pid}`;
      const start = { file: DEFAULT_SWARM, natsServer, opa, signal };
      const running = await startSwarm({
        ...start,
        inputs: [],
        runPath: join(runs, runId),
        runId,
        ...(otlp !== undefined && { otlp }),
      });
      const seen: Observed = {};
      const processes = processesOf(running);
      try {
        tellReady(running, performance.now() - began, say, seen);
        await tellDemo(running, { ...start, runs }, say, seen, signal);
      } finally {
        await running.stop();
        // Of a demo that failed the logs stay; of one that was ended there is nothing to look into.
        if (signal.aborted) await rm(running.run.path, { recursive: true, force: true });
      }
      const remains = leftBehind(processes, running.run);
      if (remains.length > 0) throw new UserError(`left behind: ${remains.join(', ')}`);
      seen.stopped = `${processes.size} processes ended, no socket left`;
      const files = [basename(running.traces.file), ...EVIDENCE_FILES];
      const kept = await keepFiles(running.run, files, join(runs, 'demo'));
      if (options.json === true) printJson({ claims: CLAIMS, observed: seen, kept, files });
      else say(`Kept    ${kept}/: ${files.join(', ')}`);
      finish(seen, performance.now() - began, options.json === true);
    });
}

function finish(seen: Observed, ms: number, json: boolean): void {
  const missing = (Object.keys(CLAIMS) as Claim[]).filter((claim) => seen[claim] === undefined);
  if (missing.length > 0) {
    throw new UserError(`not observed: ${missing.map((claim) => CLAIMS[claim]).join('; ')}`);
  }
  if (json) return;
  const claims = `all ${Object.keys(CLAIMS).length} claims observed`;
  print('Next    npx --no-install swarmproof up');
  print('        npx --no-install swarmproof inject prompt-injection');
  const seconds = (ms / 1000).toFixed(0);
  print(`${paint('green', 'PASS')}  ${claims}, everything stopped, ${seconds} s`);
}
