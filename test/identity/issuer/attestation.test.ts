import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { signImage } from '#identity/issuer/launcher-link.ts';
import { NO_OTHER_UIDS, otherUids } from '#test/tools.ts';
import { Bench, DIGEST, keyPair, sensorEntry } from './harness.ts';
import { call, fetchOnce, GRPC, openSession, readSvids } from './raw-client.ts';
import { goOn, passUntil, standStill } from './time.ts';

const SENSOR = 'spiffe://city.example/agent/sensor/north/cam-1';

describe('attestation by the launcher, real processes on one socket', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = new Bench();
    await bench.start();
    await bench.link.setEntries([sensorEntry()]);
  });
  afterEach(() => {
    goOn();
    return bench.stop();
  });

  async function honestTwin(): Promise<void> {
    const honest = await bench.launch();
    honest.connect(bench.socketPath);
    expect((await honest.next()).svids?.map((svid) => svid.id)).toEqual([SENSOR]);
  }

  test('the same program, not started by the launcher, gets nothing (E-04, A-07)', async () => {
    await honestTwin();
    const denied = new Promise<{ pid: number; detail: string }>((resolve) =>
      bench.link.on('denied', resolve),
    );
    const impostor = bench.spawn();
    impostor.connect(bench.socketPath);
    expect(await impostor.next()).toEqual({ status: GRPC.permissionDenied });
    expect(await denied).toMatchObject({
      pid: impostor.pid,
      detail: expect.stringMatching(/^NOT_LAUNCHED/),
    });
  });

  test('a process that is ahead of its attestation waits for it, but not for ever', async () => {
    await bench.stop();
    bench = new Bench();
    standStill();
    await bench.start();
    await bench.link.setEntries([sensorEntry()]);
    const session = openSession(bench.socketPath);
    const early = call(session, 'FetchX509SVID');
    // Streams of a session are taken in order: once this one is answered, the first one waits.
    await call(session, 'FetchX509SVID', {}).status;
    await bench.attestSelf();
    expect(readSvids(await early.next()).map((svid) => svid.id)).toEqual([SENSOR]);
    session.destroy();
    const { startTime } = bench.claims(process.pid);
    await bench.link.exited(process.pid, startTime);
    expect(await passUntil(fetchOnce(bench.socketPath))).toBe(GRPC.permissionDenied);
  });

  test.each([
    ['a signature over another digest', { digest: `sha256:${'cd'.repeat(32)}` }],
    ['no signature', { signature: '', keyId: '' }],
    ['a key that is not trusted', { keyId: 'ci-2' }],
    ['a signature by a stranger', { signature: signImage('sensor', DIGEST, keyPair().privateKey) }],
  ])('an image with %s gets nothing', async (_name, change) => {
    await honestTwin();
    const { image } = bench.claims(process.pid);
    const changed = await bench.launch({ image: { ...image, ...change } });
    changed.connect(bench.socketPath);
    expect(await changed.next()).toEqual({ status: GRPC.permissionDenied });
    expect(await bench.denialOf(changed.pid)).toBe('NO_ENTRY');
  });

  test('a forged process title and NODE_OPTIONS make no launched process', async () => {
    await honestTwin();
    const honest = bench.workloads[0];
    const impostor = bench.spawn({
      env: {
        ...process.env,
        title: `node ${honest?.child.spawnargs.join(' ')}`,
        NODE_OPTIONS: '--no-warnings',
      },
    });
    impostor.connect(bench.socketPath);
    expect(await impostor.next()).toEqual({ status: GRPC.permissionDenied });
  });

  test('arguments copied from a launched process are no evidence', async () => {
    await honestTwin();
    const [, ...argv] = bench.workloads[0]?.child.spawnargs ?? [];
    const copy = spawn(process.execPath, argv, {
      argv0: bench.workloads[0]?.child.spawnargs[0],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const cmdline = (pid?: number) => readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    expect(cmdline(copy.pid)).toBe(cmdline(bench.workloads[0]?.pid));
    copy.send(bench.socketPath);
    const [report] = await once(copy, 'message');
    expect(report).toEqual({ status: GRPC.permissionDenied });
    const gone = once(copy, 'exit');
    copy.kill('SIGKILL');
    await gone;
  });

  test('another executable than the one attested gets nothing', async () => {
    await honestTwin();
    const { exe } = bench.claims(process.pid);
    const other = await bench.launch({ exe: { ...exe, ino: '1' } });
    other.connect(bench.socketPath);
    expect(await other.next()).toEqual({ status: GRPC.permissionDenied });
    expect(await bench.denialOf(other.pid)).toBe('EXE_MISMATCH');
  });

  test('a PID with another start time is another process', async () => {
    await honestTwin();
    const child = bench.spawn();
    const claims = bench.claims(child.pid);
    await bench.link.attest({ ...claims, startTime: claims.startTime - 1 });
    child.connect(bench.socketPath);
    expect(await child.next()).toEqual({ status: GRPC.permissionDenied });
    expect(await bench.denialOf(child.pid)).toBe('NOT_LAUNCHED');
  });

  test('a live stream ends with PermissionDenied when the launcher reports the exit (A-07)', async () => {
    const honest = await bench.launch();
    honest.connect(bench.socketPath);
    await honest.next();
    const { pid, startTime } = bench.claims(honest.pid);
    await bench.link.exited(pid, startTime - 1);
    await bench.link.exited(pid, startTime);
    expect(await honest.next()).toEqual({ status: GRPC.permissionDenied });
  });

  test.each([
    ['exec another program', 'exec', 'PEER_EXEC_CHANGED'],
    ['end', 'exit', 'PEER_GONE'],
  ])('connect, hand the socket to a child, %s: nothing', async (_name, how, code) => {
    await honestTwin();
    const parent = new URL('./socket-sharer.ts', import.meta.url).pathname;
    const sharer = spawn(process.execPath, ['--no-warnings', parent, how], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: sharer.stdout })[Symbol.asyncIterator]();
    const claims = bench.claims(sharer.pid ?? 0);
    await bench.link.attest(claims);
    sharer.stdin.write(`${bench.socketPath}\n`);
    const answer = (await lines.next()).value ?? '';
    expect(JSON.parse(answer)).toEqual({ status: GRPC.permissionDenied });
    expect(await bench.denialOf(claims.pid)).toBe(code);
    if (sharer.exitCode !== null) return;
    const gone = once(sharer, 'exit');
    sharer.kill('SIGKILL');
    await gone;
  });

  test('a stranger that execs a program at the longest path there is takes nothing from the others', async () => {
    const honest = await bench.launch();
    honest.connect(bench.socketPath);
    await honest.next();
    let folder = bench.folder;
    while (folder.length < 3800) folder = join(folder, 'd'.repeat(200));
    folder = join(folder, 'd'.repeat(4088 - folder.length - '//sleep'.length));
    mkdirSync(folder, { recursive: true });
    const program = join(folder, 'sleep');
    copyFileSync('/bin/sleep', program);
    expect(program).toHaveLength(4088);

    const parent = new URL('./socket-sharer.ts', import.meta.url).pathname;
    const sharer = spawn(process.execPath, ['--no-warnings', parent, 'exec', program], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const details: string[] = [];
    bench.link.on('denied', ({ pid, detail }) => pid === sharer.pid && details.push(detail));
    const lines = createInterface({ input: sharer.stdout })[Symbol.asyncIterator]();
    sharer.stdin.write(`${bench.socketPath}\n`);
    const answer = (await lines.next()).value ?? '';
    const gone = once(sharer, 'exit');
    sharer.kill('SIGKILL');
    await gone;
    expect(JSON.parse(answer)).toEqual({ status: GRPC.permissionDenied });

    // What was attested still counts, and more can be.
    await honestTwin();
    expect(details).toEqual([expect.stringMatching(/^PEER_EXEC_CHANGED: .{1,280}$/u)]);
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 30 })]);
    expect((await honest.next()).svids?.map((svid) => svid.id)).toEqual([SENSOR]);
  });

  test('a process under another uid gets nothing', async ({ skip }) => {
    skip(!otherUids(), NO_OTHER_UIDS);
    const uidEntry = sensorEntry({
      selectors: [...sensorEntry().selectors, { type: 'unix', value: 'uid:0' }],
    });
    await bench.stop();
    bench = new Bench();
    await bench.start({ socketMode: 0o666 });
    spawnSync('chmod', ['755', bench.folder]);
    await bench.link.setEntries([uidEntry]);
    await honestTwin();
    const stranger = await bench.launch({}, { uid: 65534, gid: 65534 });
    stranger.connect(bench.socketPath);
    expect(await stranger.next()).toEqual({ status: GRPC.permissionDenied });
    expect(await bench.denialOf(stranger.pid)).toBe('NO_ENTRY');
    const attestedAsRoot = await bench.launch({ uid: 0 }, { uid: 65534, gid: 65534 });
    attestedAsRoot.connect(bench.socketPath);
    expect(await attestedAsRoot.next()).toEqual({ status: GRPC.permissionDenied });
    expect(await bench.denialOf(attestedAsRoot.pid)).toBe('UID_MISMATCH');
  });
});
