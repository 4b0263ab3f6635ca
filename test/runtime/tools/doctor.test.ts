import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { examine, exitCodeOf, type Machine } from '#runtime/tools/doctor.mjs';
import { script, temporaryFolder } from './machine.ts';

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
  script(join(folder.path, 'bin', 'nats-server'), 'echo "nats-server: v2.12.1"');
});
afterEach(() => folder.remove());

function machine(over: Partial<Machine> = {}): Machine {
  return {
    root: folder.path,
    stateDir: join(folder.path, 'state'),
    environment: { PATH: join(folder.path, 'bin') },
    platform: 'linux',
    kernel: '6.8.0-31-generic',
    uid: 1000,
    self: { path: process.execPath, version: process.versions.node },
    ...over,
  };
}

async function verdicts(over: Partial<Machine> = {}) {
  const rows = await examine(machine(over));
  for (const { name, ok, fix } of rows) expect([name, ok === 'ok', fix]).not.toContain(undefined);
  return { code: exitCodeOf(rows), row: (name: string) => rows.find((one) => one.name === name) };
}

test('a machine that can run a swarm has no failure; what tests alone need is a warning', async () => {
  const { code, row } = await verdicts();
  expect(code).toBe(0);
  expect(row('nats-server')).toMatchObject({ ok: 'ok', fix: '' });
  expect(row('nats-server')?.found).toMatch(/^2\.12\.1, .*bin\/nats-server \(PATH\)$/);
  expect(row('opa')).toMatchObject({ ok: 'warn', fix: expect.stringContaining('--for test') });
  expect(row('peer credentials')).toMatchObject({ ok: 'ok' });
});

test('a missing broker fails, and the fix is a command', async () => {
  const { code, row } = await verdicts({ environment: { PATH: '/nowhere' } });
  expect(code).toBe(1);
  expect(row('nats-server')).toMatchObject({
    ok: 'fail',
    fix: 'run: node runtime/tools/prepare.mjs --for up',
  });
});

test('a Node too old, with no packaged one beside it, fails', async () => {
  const { code, row } = await verdicts({ self: { path: '/usr/bin/node', version: '20.19.0' } });
  expect(code).toBe(1);
  expect(row('node')).toMatchObject({ ok: 'fail', found: 'only 20.19.0' });
});

test('a kernel before 6.5 is told, and a platform without peer credentials fails', async () => {
  const old = await verdicts({ kernel: '6.1.0-37-amd64' });
  expect(old.row('peer credentials')).toMatchObject({ ok: 'warn' });
  expect(old.code).toBe(0);
  const other = await verdicts({ platform: 'win32', kernel: '10.0' });
  expect(other.row('peer credentials')).toMatchObject({ ok: 'fail' });
});

test('one uid for all processes is always said, with the reason; a uid for each is good', async () => {
  expect((await verdicts()).row('separation')?.found).toContain('uid 1000 for every process');
  const why = 'only root gives each process its own uid';
  const one = await verdicts({ isolation: { kind: 'one-uid', why } });
  expect(one.row('separation')).toMatchObject({ ok: 'warn', found: expect.stringContaining(why) });
  const each = await verdicts({ uid: 0, isolation: { kind: 'uid-per-process' } });
  expect(each.row('separation')).toMatchObject({ ok: 'ok', fix: '' });
});

test('a long state folder is told before a socket fails', async () => {
  const stateDir = join(folder.path, 'x'.repeat(90));
  expect((await verdicts({ stateDir })).row('socket path')).toMatchObject({ ok: 'warn' });
});

test('a state folder that cannot be made fails', async () => {
  const file = join(folder.path, 'file');
  writeFileSync(file, '');
  const { code, row } = await verdicts({ stateDir: join(file, 'state') });
  expect(code).toBe(1);
  expect(row('state folder')).toMatchObject({
    ok: 'fail',
    fix: expect.stringContaining('--state'),
  });
});

test('looking changes nothing', async () => {
  const stateDir = join(folder.path, 'not', 'yet');
  expect((await verdicts({ stateDir })).row('state folder')).toMatchObject({ ok: 'ok' });
  expect(existsSync(join(folder.path, 'not'))).toBe(false);
});
