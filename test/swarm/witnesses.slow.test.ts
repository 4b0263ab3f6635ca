import { execFile } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunningSwarm } from '#cli/wiring/swarm.ts';
import { type Checkpoint, parseCheckpoint, signCheckpoint } from '#custody/log/checkpoint.ts';
import { verifyFork } from '#custody/log/fork.ts';
import { createNoteSigner } from '#custody/log/keys.ts';
import { parseNote } from '#custody/log/note.ts';
import { credentialsCommand } from '#runtime/launcher/isolation.ts';
import { createWitnessClient } from '#runtime/witness/client.ts';
import { WITNESS_NAMES, type WitnessName } from '#runtime/witness/names.ts';
import { value } from '#test/runtime/support.ts';
import { ACTION, ANALYZER, folder, killAndRecover, pidOf, start, swarmFile } from './city.ts';
import { until } from './until.ts';

const place = folder();
const runPath = join(place.path, 'run');
let running: RunningSwarm;

beforeAll(async () => {
  const source = { kind: 'simulated', rows: 100_000, intervalMs: 100 };
  const file = swarmFile(place.path, [{ role: 'sensor', name: 'cam-1', source }, ANALYZER, ACTION]);
  running = await start({ file, runPath });
});
afterAll(async () => {
  await running.stop();
  place.remove();
});

const newest = () => running.witnessed().newest ?? { size: 0, time: 0 };
const grows = async (what: string): Promise<void> => {
  const { size } = newest();
  await until(what, () => newest().size > size);
};
/** An alarm of this code is raised by that process, and not over. */
const isSo = (code: string, by: string): boolean =>
  running.alarms.list().some((one) => one.code === code && one.by === by && !one.until);
const clientOf = (name: WitnessName) =>
  createWitnessClient({ name, socketPath: running.run.witnessSocket(name), timeoutMs: 60_000 });

/** What a witness cosigned last, and the key of the log: what a ledger that forks has at hand. */
async function ledgerGoneWrong(name: WitnessName) {
  const origin = readFileSync(join(running.run.custody, 'origin'), 'utf8').trimEnd();
  const key = createPrivateKey(readFileSync(join(running.run.custody, 'ledger.key')));
  const signer = createNoteSigner({ name: origin, use: 'note', key });
  const note = (await clientOf(name).last(origin))?.note ?? '';
  const head = value(parseCheckpoint(value(parseNote(note)).text));
  const sign = (more: Partial<Checkpoint>) => signCheckpoint({ ...head, ...more }, signer);
  return { head, sign, log: [signer.verifier] };
}

describe('the log of a running swarm', { timeout: 600_000 }, () => {
  test('is witnessed while it grows', async () => {
    await grows('a first checkpoint of a quorum');
    await grows('a next one');
    const { processes } = running.status();
    for (const name of WITNESS_NAMES) {
      expect(processes.find((one) => one.name === name)).toMatchObject({ state: 'ready' });
    }
  });

  test('a witness killed with -9 comes back with its memory, and is heard again', async () => {
    const before = running.status().processes.find(({ name }) => name === 'witness-1')?.report;
    await killAndRecover(running, 'witness-1');
    await until('witness-1 cosigns again', () => {
      const one = running.status().processes.find(({ name }) => name === 'witness-1');
      return Number(one?.report?.size ?? 0) > Number(before?.size ?? 0);
    });
  });

  test('is witnessed by two of three; by one it is not, and the swarm says so until there are two', async () => {
    const pids = (['witness-1', 'witness-2'] as const).map((name) => pidOf(running, name));
    const [first = 0, second = 0] = pids;
    try {
      process.kill(first, 'SIGSTOP');
      await grows('two of three go on');
      process.kill(second, 'SIGSTOP');
      // What was on its way is over.
      await until('the newest head gets old', () => Date.now() / 1000 - newest().time > 11);
      const { size } = newest();
      expect(running.ledger.size()).toBeGreaterThan(size);
      await until('the swarm says that', () => isSo('CHECKPOINT_STALE', 'supervisor'));
      process.kill(second, 'SIGCONT');
      await until('two of three are enough again', () => newest().size > size);
      await until('that is over', () => !isSo('CHECKPOINT_STALE', 'supervisor'));
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    }
    await grows('all three');
  });

  test('that signs another history is refused by a witness, which keeps the proof and tells the supervisor', async () => {
    const ledger = pidOf(running, 'platform-ledger');
    const client = clientOf('witness-3');
    // The real one holds still, so that the forger is not too late.
    process.kill(ledger, 'SIGSTOP');
    try {
      const { head, sign, log } = await ledgerGoneWrong('witness-3');
      const honest = { oldSize: head.size, proof: [], checkpoint: sign({}) };
      expect(await client.add(honest)).toMatchObject({ ok: true });
      const forged = { ...honest, checkpoint: sign({ root: Buffer.alloc(32, 1) }) };
      expect(await client.add(forged)).toMatchObject({ code: 'WITNESS_FORK' });
      const [proof] = await client.forks();
      expect(proof !== undefined && verifyFork(proof, log)).toBe(true);
    } finally {
      process.kill(ledger, 'SIGCONT');
    }
    await until('the supervisor knows', () => isSo('WITNESS_FORK', 'witness-3'));
    await grows('the true log goes on');
  });

  test('each witness has a key that nobody else may read, in a folder of its own', () => {
    const owners = WITNESS_NAMES.map((name) => {
      const path = join(running.run.witnesses, name, 'witness.key');
      expect(statSync(path).mode & 0o777).toBe(0o600);
      return statSync(path).uid;
    });
    const wanted = running.isolation.kind === 'uid-per-process' ? WITNESS_NAMES.length : 1;
    expect(new Set(owners).size).toBe(wanted);
  });

  test('where each process has its own uid, the ledger reaches a witness and an agent does not', async () => {
    const { isolation, run } = running;
    if (isolation.kind !== 'uid-per-process') return;
    const code = `require('node:net').connect(${JSON.stringify(run.witnessSocket('witness-1'))})
      .on('connect', () => { console.log('reached'); process.exit(); })
      .on('error', ({ code }) => console.log(code));`;
    const reachAs = async (name: string): Promise<string> => {
      const uid = /^Uid:\t(\d+)/m.exec(
        readFileSync(`/proc/${pidOf(running, name)}/status`, 'utf8'),
      )?.[1];
      const node = readlinkSync(`/proc/${pidOf(running, name)}/exe`);
      const credentials = { uid: Number(uid), gid: Number(uid) };
      const command = credentialsCommand(isolation.setpriv, credentials, 'none', [
        node,
        '-e',
        code,
      ]);
      const [program = '', ...args] = command;
      return (await promisify(execFile)(program, args, { env: {}, cwd: '/' })).stdout.trim();
    };
    expect(await reachAs('platform-ledger')).toBe('reached');
    for (const name of ['sensor-cam-1', 'analyzer-analyzer-1', 'witness-2', 'gate-a']) {
      expect(await reachAs(name), name).toBe('EACCES');
    }
  });
});
