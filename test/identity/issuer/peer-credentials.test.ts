import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadNative, type Native } from '#identity/attestors/native.ts';
import { makePeer, type Peer } from '#identity/attestors/peer.ts';
import { openPeerCredentials } from '#identity/attestors/peer-credentials.ts';
import { parsePidfdPid, parseStartTime, readProcess } from '#identity/attestors/proc.ts';
import type { Outcome } from '#identity/outcome.ts';

const namespaces = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true']).status === 0;
const CONNECT = `require('net').connect(process.argv[1]); setInterval(() => {}, 1e6)`;
const descriptors = (): number => readdirSync('/proc/self/fd').length;

describe('peer credentials', () => {
  const folder = mkdtempSync(join(tmpdir(), 'peer-'));
  const path = join(folder, 's');
  const opened = openPeerCredentials(process.platform);
  if (!opened.ok) throw new Error(opened.detail);
  const credentials = opened.value;
  let server: Server;
  let accepted: (socket: Socket) => void = () => {};

  beforeAll(async () => {
    server = createServer((socket) => {
      socket.on('error', () => {});
      accepted(socket);
    });
    server.listen(path);
    await once(server, 'listening');
  });
  afterAll(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });

  /** Reads the peer of the next connection. */
  function nextPeer(): Promise<Peer> {
    return new Promise((resolve, reject) => {
      accepted = (socket) => {
        const { _handle } = socket as unknown as { _handle: { fd: number } };
        const peer = credentials.read(_handle.fd);
        if (peer.ok) resolve(peer.value);
        else reject(new Error(peer.code));
      };
    });
  }

  test('name the calling process, and leave no descriptor behind', async () => {
    const reading = nextPeer();
    const socket = connect(path);
    const peer = await reading;
    const before = descriptors();
    expect(peer).toMatchObject({ ...readProcess(process.pid), uid: process.getuid?.() });
    expect(peer.check()).toEqual({ ok: true, value: true });
    peer.close();
    peer.close();
    expect(descriptors()).toBe(before - (credentials.capability === 'pidfd' ? 1 : 0));
    // A closed peer is no peer: its descriptor number may be somebody else's by now.
    expect(peer.check()).toMatchObject({ code: 'PEER_GONE' });
    socket.destroy();
  });

  test('a dead caller is gone, whoever holds its PID or its socket', async () => {
    const child = spawn(process.execPath, ['-e', CONNECT, path]);
    const peer = await nextPeer();
    expect(peer.pid).toBe(child.pid);
    expect(peer.check().ok).toBe(true);
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    expect(peer.check()).toMatchObject({ ok: false, code: 'PEER_GONE' });
    peer.close();
  });

  test('signals that the issuer itself gets, a profiler’s for one, do not make a caller dead', async () => {
    const reading = nextPeer();
    const socket = connect(path);
    const peer = await reading;
    const profiler = new Session();
    profiler.connect();
    await profiler.post('Profiler.enable');
    await profiler.post('Profiler.setSamplingInterval', { interval: 50 });
    await profiler.post('Profiler.start');
    const checks = Array.from({ length: 20_000 }, () => peer.check().ok);
    await profiler.post('Profiler.stop');
    profiler.disconnect();
    expect(checks.filter((alive) => !alive)).toEqual([]);
    peer.close();
    socket.destroy();
  });

  test('a reused PID is not the caller: start time differs, even without a pidfd', () => {
    const facts = readProcess(process.pid);
    if (facts === undefined) throw new Error('cannot read own process');
    const peer = { ...facts, uid: 0, gid: 0 };
    const always = () => true;
    const same = makePeer(peer, readProcess, always, () => {});
    expect(same.check().ok).toBe(true);
    const earlier = { ...peer, startTime: facts.startTime - 1 };
    const reused = makePeer(earlier, readProcess, always, () => {});
    expect(reused.check()).toMatchObject({ code: 'PEER_GONE' });
  });

  test('a replaced executable is noticed by device, inode, ctime and path', () => {
    const facts = readProcess(process.pid);
    if (facts === undefined) throw new Error('cannot read own process');
    for (const change of [{ dev: '1' }, { ino: '1' }, { ctime: '1' }, { path: '/bin/other' }]) {
      const peer = { ...facts, uid: 0, gid: 0, exe: { ...facts.exe, ...change } };
      const checked = makePeer(
        peer,
        readProcess,
        () => true,
        () => {},
      ).check();
      expect(checked).toMatchObject({ code: 'PEER_EXEC_CHANGED' });
    }
  });

  test('a caller outside the PID namespace (PID 0) is refused', async ({ skip }) => {
    skip(!namespaces, 'this user may make no PID namespace');
    const inner = join(folder, 'inner');
    const reader = new URL('./peer-reader.ts', import.meta.url).pathname;
    const unshare = ['--pid', '--fork', '--kill-child', '--mount-proc'];
    const issuer = spawn(
      'unshare',
      [...unshare, process.execPath, '--no-warnings', reader, inner],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    await once(issuer.stdout, 'data');
    expect(await text(connect(inner))).toBe('PEER_FOREIGN_NAMESPACE');
    const gone = once(issuer, 'exit');
    issuer.stdin.end();
    await gone;
  });

  /** The C library with another answer to SO_PEERPIDFD. */
  function withPidfd(answer: (native: Native, fd: number) => Buffer | number): () => Native {
    const native = loadNative();
    return () => ({
      ...native,
      socketOption: (fd, level, option, size) =>
        option === 77 ? answer(native, fd) : native.socketOption(fd, level, option, size),
    });
  }

  test('a kernel without pidfds: start time decides, and it is said', async ({ skip }) => {
    skip(process.platform !== 'linux', 'Linux alone has pidfds');
    const old = openPeerCredentials(
      'linux',
      withPidfd(() => -92),
    );
    if (!old.ok) throw new Error(old.detail);
    expect(old.value.capability).toBe('start-time');
    const read = new Promise<Outcome<Peer>>((resolve) => {
      accepted = (socket) => {
        const { _handle } = socket as unknown as { _handle: { fd: number } };
        resolve(old.value.read(_handle.fd));
      };
    });
    const child = spawn(process.execPath, ['-e', CONNECT, path]);
    const peer = await read;
    if (!peer.ok) throw new Error(peer.detail);
    expect(peer.value).toMatchObject({ pid: child.pid });
    expect(peer.value.check().ok).toBe(true);
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    expect(peer.value.check()).toMatchObject({ code: 'PEER_GONE' });
  });

  test('where the kernel has pidfds, a peer without one is a dead peer', async ({ skip }) => {
    skip(credentials.capability !== 'pidfd', 'this kernel has no SO_PEERPIDFD');
    let probed = false;
    const opened = openPeerCredentials(
      'linux',
      withPidfd((native, fd) => {
        if (probed) return -3;
        probed = true;
        return native.socketOption(fd, 1, 77, 4);
      }),
    );
    if (!opened.ok) throw new Error(opened.detail);
    const refused = new Promise<Outcome<Peer>>((resolve) => {
      accepted = (socket) => {
        const { _handle } = socket as unknown as { _handle: { fd: number } };
        resolve(opened.value.read(_handle.fd));
      };
    });
    const socket = connect(path);
    expect(await refused).toMatchObject({ ok: false, code: 'PEER_GONE' });
    socket.destroy();
  });

  test('platforms without peer credentials are refused, never served unauthenticated', () => {
    for (const platform of ['win32', 'freebsd', 'aix']) {
      expect(openPeerCredentials(platform)).toMatchObject({ code: 'PEER_UNSUPPORTED' });
    }
  });

  test('what is no socket is refused', () => {
    expect(credentials.read(0x7fff)).toMatchObject({ ok: false, code: 'PEER_UNREADABLE' });
  });
});

describe('/proc parsing', () => {
  const tail = `S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20`;
  test.each([
    [`7 (node) ${tail}`, 4242],
    ['7 (a) S 1 2) evil (x) '.concat(tail), 4242],
    ['7 (node', undefined],
    ['7 (node) S 1 2', undefined],
    ['', undefined],
  ])('start time of %j', (stat, expected) => {
    expect(parseStartTime(stat)).toBe(expected);
  });

  test('the PID of a pidfd', () => {
    expect(parsePidfdPid('pos:\t0\nPid:\t-1\nNSpid:\t-1\n')).toBe(-1);
    expect(parsePidfdPid('pos:\t0\nPid:\t77\nNSpid:\t77\n')).toBe(77);
    expect(parsePidfdPid('pos:\t0\n')).toBeUndefined();
  });
});
