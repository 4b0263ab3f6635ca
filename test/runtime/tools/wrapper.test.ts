import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { script, temporaryFolder } from './machine.ts';

const ROOT = new URL('../../..', import.meta.url).pathname;

let folder: ReturnType<typeof temporaryFolder>;
let started: ChildProcess[] = [];
beforeEach(() => {
  folder = temporaryFolder();
  started = [];
});
afterEach(() => {
  for (const child of started) child.kill('SIGKILL');
  folder.remove();
});

/** The genuine wrapper in a checkout of its own whose main.ts is the one given. */
function wrapper(main: string, args: string[] = ['status'], broker = '') {
  for (const path of ['cli/swarmproof.mjs', 'cli/leash.mjs', 'runtime/tools']) {
    mkdirSync(dirname(join(folder.path, path)), { recursive: true });
    cpSync(join(ROOT, path), join(folder.path, path), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder.path, 'node_modules'));
  cpSync(join(ROOT, 'package.json'), join(folder.path, 'package.json'));
  writeFileSync(join(folder.path, 'cli', 'main.ts'), main);
  const child = spawn(process.execPath, [join(folder.path, 'cli', 'swarmproof.mjs'), ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: '/nowhere', SWARMPROOF_NATS_SERVER: broker },
  });
  started.push(child);
  const lines: string[] = [];
  const waiters: { wanted: string; met: (line: string) => void }[] = [];
  const closed = new Promise<void>((done) => {
    createInterface({ input: child.stdout })
      .on('line', (line) => {
        lines.push(line);
        for (const { wanted, met } of waiters) if (line.startsWith(wanted)) met(line);
      })
      .on('close', done);
  });
  const line = (wanted: string) =>
    new Promise<string>((met) => {
      const there = lines.find((one) => one.startsWith(wanted));
      if (there !== undefined) met(there);
      waiters.push({ wanted, met });
    });
  const ended = new Promise<{ code: number | null; signal: string | null }>((done) => {
    child.on('exit', (code, signal) => done({ code, signal }));
  });
  return { child, lines, line, ended, closed };
}

test('arguments, exit code and hardening flags pass through', async () => {
  const main = `console.log(JSON.stringify([process.argv.slice(2), process.execArgv]));
    process.exit(7);`;
  const run = wrapper(main, ['custody', 'verify', '--out', 'a b']);
  expect((await run.ended).code).toBe(7);
  await run.closed;
  const [args, flags] = JSON.parse(run.lines[0] ?? '[]');
  expect(args).toEqual(['custody', 'verify', '--out', 'a b']);
  expect(flags).toContain('--disable-sigusr1');
});

test('a command that is done ends, though its wrapper still listens', async () => {
  const run = wrapper('const word: string = "done"; console.log(word);');
  expect(await run.ended).toEqual({ code: 0, signal: null });
});

test('a key press that arrives twice reaches the child once, the next one again', async () => {
  const main = `let times = 0;
    process.on('SIGINT', () => { times += 1; console.log('interrupt ' + times);
      if (times === 2) process.exit(3); });
    setInterval(() => {}, 1000); console.log('up');`;
  const run = wrapper(main);
  await run.line('up');
  run.child.kill('SIGINT');
  run.child.kill('SIGINT');
  await run.line('interrupt 1');
  // The wrapper takes what comes within 300 ms for the same key press.
  await new Promise((done) => setTimeout(done, 400));
  expect(run.lines).toEqual(['up', 'interrupt 1']);
  run.child.kill('SIGINT');
  expect((await run.ended).code).toBe(3);
});

test('a child that dies by a signal makes the wrapper die so', async () => {
  const run = wrapper(`process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1000);`);
  expect(await run.ended).toEqual({ code: null, signal: 'SIGKILL' });
});

test('when the wrapper is killed, the child is asked to stop and does', async () => {
  const main = `process.on('SIGTERM', () => { console.log('asked'); process.exit(0); });
    setInterval(() => {}, 1000); console.log('up');`;
  const run = wrapper(main);
  await run.line('up');
  run.child.kill('SIGKILL');
  expect(await run.line('asked')).toBe('asked');
  // The pipe closes when the last process that holds it is gone.
  await run.closed;
});

test('a child that ignores the request is made to stop', async () => {
  const main = `process.on('SIGTERM', () => console.log('ignored'));
    setInterval(() => {}, 1000); console.log('up');`;
  const run = wrapper(main);
  await run.line('up');
  run.child.kill('SIGKILL');
  await run.line('ignored');
  await run.closed;
});

test('`up` does not start with a broker that is none, and hands a good one on by path', async () => {
  const main = 'console.log(process.env.SWARMPROOF_NATS_SERVER);';
  const bad = wrapper(main, ['--state-dir', 'here', 'up'], '/bin/false');
  expect((await bad.ended).code).toBe(1);
  await bad.closed;
  expect(bad.lines).toEqual([]);
  folder.remove();
  const broker = script(join(folder.path, 'bin', 'broker'), 'echo v2.11.0');
  const good = wrapper(main, ['up'], broker);
  expect((await good.ended).code).toBe(0);
  await good.closed;
  expect(good.lines).toEqual([broker]);
});
