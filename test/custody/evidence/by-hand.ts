import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const page = readFileSync(join(root, 'docs/custody.md'), 'utf8');
/** The commands of docs/custody.md that need nothing of ours. */
const commands = [...page.matchAll(/```sh\n([\s\S]*?)```/g)]
  .map(([, code]) => code ?? '')
  .filter((code) => !code.includes('swarmproof'))
  .join('\n');

const version = (tool: string, ...args: string[]): string =>
  spawnSync(tool, args, { encoding: 'utf8' }).stdout ?? '';

/** Whether openssl and jq are not here; CI has them. */
export const TOOLS_MISSING =
  (!version('openssl', 'version').startsWith('OpenSSL 3') || version('jq', '--version') === '') &&
  process.env.CI === undefined;

/** Runs the page's commands, as somebody would who has only the two files; returns what they print. */
export function byHand(evidence: string, trust: string): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), 'swarmproof-by-hand-'));
  try {
    writeFileSync(join(folder, 'evidence.json'), evidence);
    writeFileSync(join(folder, 'trust.json'), trust);
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    const PATH = `${join(root, 'node_modules/node/bin')}:${process.env.PATH}`;
    const options = { cwd: folder, encoding: 'utf8', env: { PATH, LC_ALL: 'C' } } as const;
    return spawnSync('bash', ['-c', commands], options).stdout.split('\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
