import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { formatTrust } from '#custody/evidence/trust.ts';
import { createTestSwarm, IDS, testClock } from '../support.ts';
import { createCase, trustOf } from './support.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const page = readFileSync(join(root, 'docs/custody.md'), 'utf8');
const commands = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, code]) => code).join('\n');

const version = (tool: string, ...args: string[]): string =>
  spawnSync(tool, args, { encoding: 'utf8' }).stdout ?? '';
const missing =
  !version('openssl', 'version').startsWith('OpenSSL 3') || version('jq', '--version') === '';

/** Runs the page's commands, as somebody would who has only the two files. */
function run(evidence: string, trust: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'swarmproof-by-hand-'));
  try {
    writeFileSync(join(folder, 'evidence.json'), evidence);
    writeFileSync(join(folder, 'trust.json'), trust);
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    const PATH = `${join(root, 'node_modules/node/bin')}:${process.env.PATH}`;
    const options = { cwd: folder, encoding: 'utf8', env: { PATH, LC_ALL: 'C' } } as const;
    const { stdout } = spawnSync('bash', ['-c', commands], options);
    return stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe.skipIf(missing && process.env.CI === undefined)('the commands of docs/custody.md', () => {
  it('verify a record, its payload, its certificate, checkpoint, witnesses and place', async () => {
    const swarm = await createTestSwarm({ clock: testClock(Math.floor(Date.now() / 1000) * 1000) });
    const made = await createCase(swarm);
    made.witness();
    const trust = formatTrust(trustOf(swarm));
    const text = made.file({ action: made.act.id });
    const time = Math.floor(swarm.clock() / 1000);
    const good = run(text, trust).split('\n');
    for (const line of [
      'id: OK',
      'leaf.pem: OK',
      `sender: ${IDS.action}`,
      'Verified OK',
      'payload: OK',
      'jose: custody+jwt svc.mcp.action-action-1',
      'Signature Verified Successfully',
      `witness: city.example/w1 at ${time}`,
      `witness: city.example/w2 at ${time}`,
      'inclusion: OK',
    ]) {
      expect(good).toContain(line);
    }
    const [file] = [JSON.parse(text)];
    const entry = file.entries.find(({ id }: { id: string }) => id === made.act.id);
    const [head, claims, signature] = entry.entry.jws.split('.');
    entry.payload = Buffer.from('altered').toString('base64');
    entry.entry.jws = `${head}.${claims}.${[...signature].reverse().join('')}`;
    file.checkpoints[0].note = file.checkpoints[0].note.replace('\n3\n', '\n4\n');
    entry.size = 4;
    const bad = run(JSON.stringify(file), trust).split('\n');
    for (const line of [
      'Verified OK',
      'payload: OK',
      'Signature Verified Successfully',
      'inclusion: OK',
    ]) {
      expect(bad).not.toContain(line);
    }
    expect(bad.some((line) => line.startsWith('jose:') || line.startsWith('witness:'))).toBe(false);
    expect(bad).toContain('leaf.pem: OK');
  });
});
