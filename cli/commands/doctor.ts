import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { findIsolation } from '#runtime/launcher/isolation.ts';
import { examine, exitCodeOf } from '#runtime/tools/doctor.mjs';
import { columns, paint, print, printJson } from '../output.ts';
import { CHECKOUT } from '../wiring/checkout.ts';
import { globals } from './options.ts';

const COLOURS = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

/** `swarmproof doctor`: what this machine has for a swarm, what it lacks, and what to do about it. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('examine whether a swarm can run on this machine')
    .option('--json', 'for programs')
    .action(async (options: { json?: boolean }, command: Command) => {
      const stateDir = resolve(globals(command).stateDir);
      const rows = await examine({
        root: CHECKOUT,
        stateDir,
        environment: process.env,
        platform: process.platform,
        kernel: release(),
        uid: process.getuid?.(),
        isolation: await findIsolation({
          runPath: stateDir,
          programs: [],
          folders: [nearestFolder(stateDir)],
          readable: [],
        }),
        self: { path: process.execPath, version: process.versions.node },
      });
      process.exitCode = exitCodeOf(rows);
      if (options.json === true) {
        printJson(rows);
        return;
      }
      const lines = columns(rows.map(({ ok, name, found }) => [ok.padEnd(4), name, found]));
      for (const [index, { ok, fix }] of rows.entries()) {
        const line = lines[index] ?? '';
        print(`${paint(COLOURS[ok], line.slice(0, 4))}${line.slice(4)}`);
        if (fix !== '') print(paint('dim', `      ${fix}`));
      }
    });
}

/** A state folder that is not there yet is made below this one. */
function nearestFolder(path: string): string {
  return existsSync(path) ? path : nearestFolder(dirname(path));
}
