import { type ChildProcess, spawn } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectLauncherLink, type LauncherLink } from '#identity/issuer/launcher-link.ts';
import { verifyLog } from '#identity/issuer/log.ts';
import { openStore } from '#identity/issuer/store.ts';
import { Bench, sensorEntry } from './harness.ts';

const SENSOR = sensorEntry().spiffe_id;
const program = new URL('./issuer-process.ts', import.meta.url).pathname;
const spki = (key: KeyObject) => key.export({ type: 'spki', format: 'der' }).toString('base64');

let bench: Bench;
let running: ChildProcess[] = [];
beforeEach(() => {
  bench = new Bench();
  running = [];
});
afterEach(async () => {
  for (const child of running) await kill(child);
  await bench.stop();
});

async function start(): Promise<{ child: ChildProcess; link: LauncherLink }> {
  const keys = [spki(bench.launcher.publicKey), spki(bench.ci.publicKey)];
  const child = spawn(process.execPath, ['--no-warnings', program, bench.folder, ...keys], {
    stdio: ['ignore', 'pipe', 'inherit', 'ignore', 'pipe'],
  });
  running.push(child);
  if (child.stdout === null) throw new Error('no stdout');
  await once(child.stdout, 'data');
  const link = connectLauncherLink(child.stdio[4] as Duplex, bench.launcher.privateKey);
  return { child, link };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

test('an issuer killed with -9 comes back with its authority, log and entries', async () => {
  const socket = join(bench.folder, 'run', 'api.sock');
  const workload = bench.spawn();
  const one = await start();
  // Long enough that nothing is renewed meanwhile: the log has two rows in the end.
  await one.link.setEntries([sensorEntry({ x509_svid_ttl: 3600 })]);
  await one.link.attest(bench.claims(workload.pid));
  workload.connect(socket);
  expect((await workload.next()).svids?.[0]?.id).toBe(SENSOR);
  const before = await one.link.bundle();

  await kill(one.child);
  await one.link.closed;
  expect(await one.link.bundle()).toMatchObject({ code: 'LINK_CLOSED' });
  expect((await workload.next()).status).toBe('reset');

  const two = await start();
  expect(await two.link.bundle()).toEqual(before);
  const again = bench.spawn();
  await two.link.attest(bench.claims(again.pid));
  again.connect(socket);
  // The entries were on disk; what was attested to the first issuer was not.
  expect((await again.next()).svids?.[0]?.id).toBe(SENSOR);
  await kill(two.child);

  const store = openStore(join(bench.folder, 'state'));
  if (!store.ok) throw new Error(store.detail);
  expect(verifyLog(store.value.log())).toMatchObject({ ok: true, value: { seq: 2 } });
  expect(store.value.pending(10).map((row) => JSON.parse(row.body).spiffe_id)).toEqual([
    SENSOR,
    SENSOR,
  ]);
  store.value.close();
});
