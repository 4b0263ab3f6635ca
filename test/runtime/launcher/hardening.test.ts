import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hardeningFlags } from '#runtime/launcher/flags.ts';
import { launchProgram } from '#runtime/launcher/program.ts';
import { type Bench, createBench, nextMessage } from '../support.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await createBench();
});
afterAll(() => bench.clear());

async function probe(
  hardening: 'sealed' | 'plain',
  read: readonly string[],
  readFiles?: readonly string[],
) {
  const running = await bench.run(
    { task: 'probe', read, write: join(bench.folder, 'written') },
    hardening,
    readFiles === undefined ? {} : { readFiles },
  );
  const { status } = await nextMessage(running, 'status');
  return status as {
    attempts: Record<string, string>;
    env: Record<string, string>;
    argv: string[];
  };
}

describe('an agent process, under the flags that it really gets', () => {
  test('cannot read other files, write, spawn, start workers or an inspector, load addons or node:sqlite, or open its memory', async () => {
    const secret = join(bench.folder, 'ci', 'ci-key.pem');
    const { attempts } = await probe('sealed', [secret, bench.image.main]);
    expect(attempts).toEqual({
      [`read ${secret}`]: 'ERR_ACCESS_DENIED',
      // The twin: its own image it reads.
      [`read ${bench.image.main}`]: 'done',
      'read own memory': 'ERR_ACCESS_DENIED',
      write: 'ERR_ACCESS_DENIED',
      spawn: 'ERR_ACCESS_DENIED',
      worker: 'ERR_ACCESS_DENIED',
      inspector: 'ERR_ACCESS_DENIED',
      addon: 'ERR_DLOPEN_DISABLED',
      sqlite: 'ABSENT',
    });
  });

  test('would do all of that without the flags', async () => {
    const secret = join(bench.folder, 'ci', 'ci-key.pem');
    const { attempts } = await probe('plain', [secret]);
    expect(attempts).toMatchObject({
      [`read ${secret}`]: 'done',
      write: 'done',
      spawn: 'done',
      worker: 'done',
      inspector: 'done',
      sqlite: 'done',
    });
  });

  test('reads the input file that it was given, and not its neighbour', async () => {
    const given = join(bench.folder, 'given.csv');
    const neighbour = join(bench.folder, 'given.csv.other');
    await writeFile(given, 'a\n');
    await writeFile(neighbour, 'b\n');
    const { attempts } = await probe('sealed', [given, neighbour], [given]);
    expect(attempts).toMatchObject({
      [`read ${given}`]: 'done',
      [`read ${neighbour}`]: 'ERR_ACCESS_DENIED',
    });
  });

  test('reads and writes the folder that is its own, and not its neighbour', async () => {
    const own = join(bench.folder, 'own');
    const neighbour = join(bench.folder, 'own.other');
    for (const folder of [own, neighbour]) {
      await mkdir(folder);
      await writeFile(join(folder, 'key'), 'secret');
    }
    const tryIn = async (folder: string) => {
      const read = [join(own, 'key'), join(neighbour, 'key')];
      const config = { task: 'probe', read, write: join(folder, 'written') };
      const running = await bench.run(config, 'sealed', { ownFolders: [own] });
      const { status } = await nextMessage(running, 'status');
      return status.attempts;
    };
    expect(await tryIn(own)).toEqual({
      [`read ${join(own, 'key')}`]: 'done',
      [`read ${join(neighbour, 'key')}`]: 'ERR_ACCESS_DENIED',
      'read own memory': 'ERR_ACCESS_DENIED',
      write: 'done',
      spawn: 'ERR_ACCESS_DENIED',
      worker: 'ERR_ACCESS_DENIED',
      inspector: 'ERR_ACCESS_DENIED',
      addon: 'ERR_DLOPEN_DISABLED',
      sqlite: 'ABSENT',
    });
    expect(await tryIn(neighbour)).toMatchObject({ write: 'ERR_ACCESS_DENIED' });
  });

  test("inherits nothing of the launcher's environment", async () => {
    process.env.SWARMPROOF_TEST_SECRET = 'must not be seen';
    const before = process.env.NODE_OPTIONS;
    process.env.NODE_OPTIONS = '--no-warnings';
    try {
      const { env, argv } = await probe('sealed', []);
      expect(Object.keys(env).sort()).toEqual(['LANG', 'TZ']);
      expect(argv).toContain('--disable-sigusr1');
      expect(argv).toContain('--permission');
    } finally {
      if (before === undefined) delete process.env.NODE_OPTIONS;
      else process.env.NODE_OPTIONS = before;
      delete process.env.SWARMPROOF_TEST_SECRET;
    }
  });
});

/** Starts Node with flags and the worker, signals it, and tells what it then wrote on stderr. */
async function signalled(flags: readonly string[]): Promise<{ stderr: string; alive: boolean }> {
  const child = spawn(process.execPath, [...flags, bench.image.main], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: {},
  });
  let stderr = '';
  const spoke = Promise.withResolvers<void>();
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk;
    if (stderr.includes('Debugger listening')) spoke.resolve();
  });
  child.send({ type: 'start', config: { task: 'idle' } });
  await once(child, 'message');
  child.kill('SIGUSR1');
  const guarded = flags.includes('--disable-sigusr1');
  // Without the flag the inspector's announcement is the event. With it there is none to wait for:
  // either the signal ends the process, or it answers again and then leaves, its stderr complete.
  if (guarded) {
    child.send({ type: 'policy' }, () => {});
    await Promise.race([once(child, 'message'), once(child, 'exit')]);
  } else {
    await spoke.promise;
  }
  const alive = child.exitCode === null && child.signalCode === null;
  const closed = once(child, 'close');
  if (child.connected) child.send({ type: 'stop' }, () => {});
  if (!guarded) child.kill('SIGKILL');
  await closed;
  return { stderr, alive };
}

describe('SIGUSR1', () => {
  test.each(['sealed', 'plain'] as const)(
    'opens no inspector in a %s process',
    async (hardening) => {
      const flags = hardeningFlags({ hardening, store: bench.context.store });
      expect((await signalled(flags)).stderr).not.toContain('Debugger');
    },
  );

  test('opens one without --disable-sigusr1', async () => {
    expect((await signalled([])).stderr).toContain('Debugger listening');
  });
});

test('every process logs to its own file, 0600', async () => {
  const running = await bench.run({ task: 'fail' }, 'sealed', { name: 'failing' });
  expect(await running.exited).toMatchObject({ code: 3, detail: 'the task is to fail' });
  expect(await running.ready).toBeUndefined();
  await expect(readFile(join(bench.folder, 'failing.log'))).resolves.toBeDefined();
});

test.runIf(process.platform === 'linux')(
  'no process leaves a core file, which agents could read in the store',
  async () => {
    const limit = async (pid: number | string) =>
      /^Max core file size +(\S+) +(\S+)/m.exec(await readFile(`/proc/${pid}/limits`, 'utf8'));
    for (const hardening of ['sealed', 'plain'] as const) {
      const running = await bench.run({ task: 'idle' }, hardening);
      expect((await limit(running.pid))?.slice(1)).toEqual(['0', '0']);
    }
    const broker = await launchProgram({
      name: 'sleep',
      program: '/bin/sleep',
      args: ['60'],
      cwd: bench.folder,
      logs: bench.folder,
      lifeline: bench.context.lifeline,
      untilReady: async (pid) => {
        while ((await limit(pid))?.[2] !== '0') await new Promise(setImmediate);
      },
    });
    if (!broker.ok) throw new Error(broker.detail);
    expect(await broker.value.ready).toBe('ready');
    broker.value.kill();
    await broker.value.exited;
  },
);
