import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectLauncherLink, type LauncherLink } from '#identity/issuer/launcher-link.ts';
import { openStore } from '#identity/issuer/store.ts';
import { Bench, sensorEntry } from './harness.ts';
import { call, GRPC, openSession, readSvids } from './raw-client.ts';

const PROGRAM = new URL('./issuer-process.ts', import.meta.url).pathname;

/** Only root makes a disk that is full at will; elsewhere this is not tried. */
describe.runIf(process.platform === 'linux' && process.geteuid?.() === 0)('on a full disk', () => {
  let bench: Bench;
  let state = '';
  let issuer: ChildProcess;
  let link: LauncherLink;
  let stderr = '';
  beforeEach(async () => {
    bench = new Bench();
    state = join(bench.folder, 'state');
    mkdirSync(state, { mode: 0o700 });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m,mode=700', 'full-disk', state]);
    mkdirSync(join(bench.folder, 'run'), { mode: 0o700 });
    await start();
  });
  afterEach(async () => {
    if (issuer.exitCode === null && issuer.signalCode === null) {
      issuer.kill('SIGKILL');
      await once(issuer, 'exit');
    }
    execFileSync('umount', [state]);
    await bench.stop();
  });

  async function start(): Promise<void> {
    const keys = [bench.launcher.publicKey, bench.ci.publicKey].map((key) =>
      key.export({ type: 'spki', format: 'der' }).toString('base64'),
    );
    issuer = spawn(process.execPath, ['--no-warnings', PROGRAM, bench.folder, ...keys], {
      stdio: ['ignore', 'pipe', 'pipe', 'ignore', 'pipe'],
    });
    issuer.stderr?.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    if (issuer.stdout === null) throw new Error('no stdout');
    await once(issuer.stdout, 'data');
    link = connectLauncherLink(issuer.stdio[4] as Duplex, bench.launcher.privateKey);
    const attested = await link.attest(bench.claims(process.pid));
    if (!attested.ok) throw new Error(attested.detail);
  }

  /** Takes every byte that is left. */
  function fill(): void {
    const file = openSync(join(state, 'ballast'), 'w');
    try {
      for (const size of [65_536, 4096, 512, 1]) {
        for (;;) {
          try {
            if (writeSync(file, Buffer.alloc(size)) < size) break;
          } catch {
            break;
          }
        }
      }
    } finally {
      closeSync(file);
    }
  }

  test('the issuer hands out nothing that its log does not hold, says why, and goes on when there is room', async () => {
    const socket = join(bench.folder, 'run', 'api.sock');
    const fetch = async () => {
      const session = openSession(socket);
      const stream = call(session, 'FetchX509SVID');
      const first = await stream.next();
      const answer = first === undefined ? await stream.status : readSvids(first)[0]?.serial;
      session.destroy();
      return answer;
    };
    expect(await link.setEntries([sensorEntry()])).toMatchObject({ ok: true });
    const held = await fetch();
    expect(held).toMatch(/^[0-9a-f]+$/);

    fill();
    let refused: unknown;
    // What still fits into the pages that SQLite has goes through; then nothing does.
    for (let ttl = 21; refused === undefined && ttl < 2000; ttl += 1) {
      const set = await link.setEntries([sensorEntry({ x509_svid_ttl: ttl })]);
      if (!set.ok) refused = set;
    }
    expect(refused).toMatchObject({ code: 'STORE_FULL', detail: expect.stringContaining('full') });
    // Nor by the socket: what there is may still be had, what is new may not.
    expect(await fetch()).toSatisfy(
      (answer) => answer === GRPC.unavailable || typeof answer === 'string',
    );
    expect([issuer.exitCode, stderr]).toEqual([null, '']);
    rmSync(join(state, 'ballast'));
    expect(await link.setEntries([sensorEntry({ x509_svid_ttl: 3000 })])).toMatchObject({
      ok: true,
    });
    expect(await fetch()).toMatch(/^[0-9a-f]+$/);
    issuer.kill('SIGKILL');
    await once(issuer, 'exit');
    const store = openStore(state);
    if (!store.ok) throw new Error(store.detail);
    const serials = store.value.log().map(({ body }) => JSON.parse(body).serial);
    expect(serials).toContain(held);
    store.value.close();
  });
});
