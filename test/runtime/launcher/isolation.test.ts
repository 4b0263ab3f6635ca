import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import {
  chmod,
  copyFile,
  link,
  mkdir,
  readlink,
  realpath,
  stat,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AttestationClaims } from '#identity/issuer/launcher-link.ts';
import {
  createUids,
  findIsolation,
  type IsolationOptions,
  UIDS_PER_SWARM,
  type Uids,
} from '#runtime/launcher/isolation.ts';
import { giveFolder } from '#runtime/launcher/ownership.ts';
import { launchProgram } from '#runtime/launcher/program.ts';
import type { RunningProcess } from '#runtime/launcher/running.ts';
import { type Bench, createBench, nextMessage } from '../support.ts';

const ROOT = process.platform === 'linux' && process.geteuid?.() === 0;
const asked = (over: Partial<IsolationOptions> = {}): IsolationOptions => ({
  runPath: '/tmp/run-a',
  programs: ['/bin/sh'],
  folders: ['/tmp'],
  readable: [],
  ...over,
});

test.skipIf(ROOT)('without root one uid for all, and it says why', async () => {
  const isolation = await findIsolation(asked());
  expect(isolation).toMatchObject({ kind: 'one-uid', why: expect.stringMatching(/root|Linux/) });
  expect(createUids(isolation)).toBeUndefined();
});

/** Needs a root that has all of its capabilities; elsewhere there is nothing to give away. */
describe.runIf(ROOT)('as root', () => {
  let bench: Bench;
  let uids: Uids;
  const claims: AttestationClaims[] = [];
  beforeAll(async () => {
    bench = await createBench({
      attest: async (claim) => {
        claims.push(claim);
        return { ok: true, value: {} };
      },
    });
    for (const path of [bench.folder, bench.context.store]) await chmod(path, 0o711);
    const isolation = await findIsolation(
      asked({ runPath: bench.folder, folders: [bench.folder], programs: [bench.context.node] }),
    );
    const made = createUids(isolation);
    if (isolation.kind === 'one-uid' || made === undefined)
      throw new Error(JSON.stringify(isolation));
    uids = made;
    // A checkout below a private folder: its Node goes where other uids reach it.
    if (isolation.outOfReach.length > 0) {
      await copyFile(bench.context.node, join(bench.folder, 'node'));
      await chmod(join(bench.folder, 'node'), 0o755);
    }
    const node = isolation.outOfReach.length > 0 ? join(bench.folder, 'node') : bench.context.node;
    Object.assign(bench.context, { uids, node });
  });
  afterAll(() => bench.clear());

  const status = (pid: number, field: string): string =>
    new RegExp(`^${field}:[\\t ]*(.*)$`, 'm').exec(
      readFileSync(`/proc/${pid}/status`, 'utf8'),
    )?.[1] ?? '';
  const idle = (name: string): Promise<RunningProcess> =>
    bench.run({ task: 'idle' }, 'plain', { name });
  /** Plain flags: what stops it then is the kernel and nothing else. */
  async function reach(name: string, pid: number | undefined, files: readonly string[]) {
    const running = await bench.run(
      { task: 'reach', reach: { files, ...(pid !== undefined && { pid }) } },
      'plain',
      { name },
    );
    const told = await nextMessage(running, 'status');
    return told.status.attempts as Record<string, string>;
  }

  test('each process has a uid and gid of its own, no other group, no capability and no way to one', async () => {
    const [one, other] = [await idle('one'), await idle('other')];
    for (const { pid } of [one, other]) {
      const uid = String(pid === one.pid ? uids.of('one').uid : uids.of('other').uid);
      expect(status(pid, 'Uid').split('\t')).toEqual([uid, uid, uid, uid]);
      expect(status(pid, 'Gid').split('\t')).toEqual([uid, uid, uid, uid]);
      expect(status(pid, 'Groups')).toBe('');
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
        expect([set, status(pid, set)]).toEqual([set, '0'.repeat(16)]);
      }
      expect(status(pid, 'NoNewPrivs')).toBe('1');
    }
    expect(uids.of('one').uid).not.toBe(uids.of('other').uid);
    expect(readFileSync('/etc/passwd', 'utf8')).not.toContain(String(uids.of('one').uid));
  });

  test('cannot signal, trace or read another role; itself and what is its own it can', async () => {
    const victim = await idle('victim');
    for (const name of ['victim', 'attacker']) {
      mkdirSync(join(bench.folder, `${name}.d`));
      writeFileSync(join(bench.folder, `${name}.d`, 'kept'), 'secret', { mode: 0o600 });
      await giveFolder(join(bench.folder, `${name}.d`), uids.of(name));
    }
    const kept = (name: string): string => join(bench.folder, `${name}.d`, 'kept');
    expect(await reach('attacker', victim.pid, [kept('victim')])).toEqual({
      signal: 'EPERM',
      inspect: 'EPERM',
      memory: 'EACCES',
      environment: 'EACCES',
      descriptors: 'EACCES',
      'read kept': 'EACCES',
      'write kept': 'EACCES',
    });
    // The launcher is root's: as far away.
    expect(await reach('attacker', process.pid, [])).toMatchObject({
      signal: 'EPERM',
      memory: 'EACCES',
    });
    const own = await reach('attacker', undefined, [kept('attacker')]);
    expect(new Set(Object.values(own))).toEqual(new Set(['done']));
  });

  test('reaches what shares its uid, which is why no two processes share one', async () => {
    const victim = await idle('shared');
    expect(await reach('shared', victim.pid, [])).toMatchObject({
      signal: 'done',
      memory: 'done',
      environment: 'done',
    });
  });

  test('is attested under the uid that it was given', async () => {
    const running = await idle('attested');
    expect(claims.find(({ pid }) => pid === running.pid)?.uid).toBe(uids.of('attested').uid);
  });

  test('the issuer alone keeps one power, to read which program a process runs', async () => {
    const running = await bench.run({ task: 'idle' }, 'plain', {
      name: 'reader',
      capability: 'read-processes',
    });
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      expect([set, status(running.pid, set)]).toEqual([
        set,
        (1n << 19n).toString(16).padStart(16, '0'),
      ]);
    }
    expect(status(running.pid, 'Uid')).toContain(String(uids.of('reader').uid));
  });

  test('a program that is not ours gets its uid too, and ends with the launcher’s word', async () => {
    const uid = async (pid: number): Promise<string | undefined> =>
      status(pid, 'Uid').split('\t')[0];
    const { uid: wanted } = uids.of('sleeper');
    const program = await launchProgram({
      name: 'sleeper',
      program: '/bin/sleep',
      args: ['60'],
      cwd: '/',
      logs: bench.folder,
      lifeline: bench.context.lifeline,
      uids,
      untilReady: async (pid) => {
        while ((await uid(pid)) !== String(wanted)) await new Promise(setImmediate);
      },
    });
    if (!program.ok) throw new Error(program.detail);
    expect(await program.value.ready).toBe('ready');
    program.value.kill();
    expect(await program.value.exited).toMatchObject({ signal: 'SIGKILL' });
  });

  test('the range is the same at each start of a run, another for another, and none that is in use', async () => {
    const first = async (runPath: string): Promise<number> => {
      const isolation = await findIsolation(asked({ runPath }));
      return isolation.kind === 'one-uid' ? 0 : isolation.first;
    };
    const [a, again, b] = [await first('/a'), await first('/a'), await first('/b')];
    expect(again).toBe(a);
    expect(Math.abs(a - b)).toBeGreaterThanOrEqual(UIDS_PER_SWARM);
    const stray = spawn('/bin/sleep', ['60'], { uid: a + 7, gid: a + 7 });
    await once(stray, 'spawn');
    try {
      expect(Math.abs((await first('/a')) - a)).toBeGreaterThanOrEqual(UIDS_PER_SWARM);
    } finally {
      stray.kill('SIGKILL');
      await once(stray, 'exit');
    }
  });

  test('a range that was asked for is the one that is taken', async () => {
    const isolation = await findIsolation(asked({ first: 3_000_000 }));
    expect(isolation).toMatchObject({ kind: 'uid-per-process', first: 3_000_000 });
    expect(createUids(isolation)?.of('first')).toEqual({ uid: 3_000_000, gid: 3_000_000 });
  });

  test('a folder that others may not pass, or a file they may not read, leaves one uid and is named', async () => {
    const shut = join(bench.folder, 'shut');
    await mkdir(join(shut, 'run'), { recursive: true });
    await chmod(shut, 0o700);
    const folder = await findIsolation(asked({ folders: [join(shut, 'run')] }));
    expect(folder).toMatchObject({
      kind: 'one-uid',
      why: expect.stringContaining(join(shut, 'run')),
    });
    const input = join(bench.folder, 'input.csv');
    await writeFile(input, 'a\n', { mode: 0o600 });
    const file = await findIsolation(asked({ readable: [input] }));
    expect(file).toMatchObject({ kind: 'one-uid', why: expect.stringContaining(input) });
    await chmod(input, 0o644);
    const open = await findIsolation(asked({ readable: [input], folders: [bench.folder] }));
    expect(open.kind).toBe('uid-per-process');
    const program = await findIsolation(asked({ programs: [join(shut, 'program'), '/bin/sh'] }));
    expect(program).toMatchObject({ outOfReach: [join(shut, 'program')] });
  });

  test('giving a folder away gives away no file that has another name elsewhere, and follows no link', async () => {
    const folder = join(bench.folder, 'given');
    const elsewhere = join(bench.folder, 'elsewhere');
    await mkdir(folder);
    for (const name of ['linked', 'named']) await writeFile(join(bench.folder, name), 'root’s own');
    await mkdir(elsewhere);
    symlinkSync(elsewhere, join(folder, 'folder'));
    symlinkSync(join(bench.folder, 'linked'), join(folder, 'symbolic'));
    await link(join(bench.folder, 'named'), join(folder, 'hard'));
    await writeFile(join(folder, 'own'), '');
    const { uid } = uids.of('given');
    await giveFolder(folder, uids.of('given'));
    const owner = async (path: string): Promise<number> => (await stat(path)).uid;
    expect(await owner(join(folder, 'own'))).toBe(uid);
    for (const path of ['linked', 'named', 'elsewhere']) {
      expect([path, await owner(join(bench.folder, path))]).toEqual([path, 0]);
    }
    expect(await readlink(join(folder, 'folder'))).toBe(elsewhere);
    expect(await realpath(join(folder, 'symbolic'))).toBe(join(bench.folder, 'linked'));
  });
});
