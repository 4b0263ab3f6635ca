import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHECKOUT } from '#cli/wiring/checkout.ts';
import { natsServer } from '#test/tools.ts';

/** A folder of the test's own, short enough for sockets and open to uids of the swarm's own. */
export function folder(): { readonly path: string; remove(): void } {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'sp-cli-')));
  chmodSync(path, 0o711);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Starts `swarmproof` on a state folder, as a shell in `cwd` would, without colours. */
export function start(stateDir: string, args: readonly string[], cwd = process.cwd()) {
  const flags = ['--disable-sigusr1', '--disable-warning=ExperimentalWarning'];
  const main = join(CHECKOUT, 'cli', 'main.ts');
  return spawn(process.execPath, [...flags, main, '--state-dir', stateDir, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd,
    env: { PATH: process.env.PATH ?? '', SWARMPROOF_NATS_SERVER: natsServer() },
  });
}

/** Runs one command to its end. */
export async function run(stateDir: string, ...args: readonly string[]): Promise<Ended> {
  const child = start(stateDir, args);
  let out = '';
  let err = '';
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    err += data.toString();
  });
  const [code] = await once(child, 'close');
  return { code: code as number | null, out, err };
}

export function lines(text: string): string[] {
  return text.trimEnd().split('\n');
}

/** What a terminal would obey: control characters other than the line feed. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
export const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;
