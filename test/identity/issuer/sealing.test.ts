import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadSecret } from '#identity/issuer/sealing.ts';

const module = new URL('../../../identity/issuer/sealing.ts', import.meta.url).href;
let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'secret-'));
  path = join(folder, 'issuer.key');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('is made once, whole, for its owner alone, with nothing beside it', () => {
  const made = loadSecret(path);
  expect(loadSecret(path)).toEqual(made);
  expect(made).toMatchObject({ ok: true, value: readFileSync(path) });
  expect([statSync(path).size, statSync(path).mode & 0o777]).toEqual([32, 0o600]);
  expect(readdirSync(folder)).toEqual(['issuer.key']);
});

test('a process that is killed while it makes secrets over and over leaves a whole one or none', async () => {
  const script = `const { loadSecret } = await import(${JSON.stringify(module)});
    const { Worker } = await import('node:worker_threads');
    new Worker('const t = performance.now() + ' + process.argv[1] + ' / 1000; while (performance.now() < t); process.kill(process.pid, "SIGKILL")', { eval: true });
    for (;;) { loadSecret(${JSON.stringify(path)}); (await import('node:fs')).rmSync(${JSON.stringify(path)}); }`;
  for (const microseconds of [0, 300, 900, 2500]) {
    const child = spawn(
      process.execPath,
      ['--no-warnings', '--input-type=module', '-e', script, String(microseconds)],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    await once(child, 'exit');
    expect(child.signalCode).toBe('SIGKILL');
    expect(loadSecret(path)).toMatchObject({ ok: true });
  }
});

test('is not read through a link, nor made where it cannot be', () => {
  symlinkSync(join(folder, 'elsewhere'), path);
  expect(loadSecret(path)).toMatchObject({ code: 'STATE_UNREADABLE' });
  expect(loadSecret(join(folder, 'no', 'issuer.key'))).toMatchObject({ code: 'STATE_UNREADABLE' });
});
