import { release } from 'node:os';
import { resolve } from 'node:path';
import { Command } from 'commander';
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
      const rows = await examine({
        root: CHECKOUT,
        stateDir: resolve(globals(command).stateDir),
        environment: process.env,
        platform: process.platform,
        kernel: release(),
        uid: process.getuid?.(),
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
