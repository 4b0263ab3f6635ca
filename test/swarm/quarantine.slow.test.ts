import { cpSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { IMAGE_CACHE } from '#cli/wiring/images.ts';
import type { RunningSwarm } from '#cli/wiring/swarm.ts';
import { isMessage } from './account.ts';
import { ACTION, ANALYZER, folder, images, imagesWith, start, swarmFile } from './city.ts';
import { type Foothold, footholds } from './foothold.ts';

const place = folder();
const runPath = join(place.path, 'run');
let running: RunningSwarm;
let held: Awaited<ReturnType<typeof footholds>>;
let implant: Foothold;

/** A copy of a role's signed image with other bytes in it, or without its signature. */
function spoiled(name: string, how: 'changed' | 'unsigned'): string {
  const copy = join(place.path, how);
  cpSync(join(IMAGE_CACHE, name), copy, { recursive: true });
  const main = join(copy, 'main.mjs');
  if (how === 'changed') writeFileSync(main, `${readFileSync(main, 'utf8')}\n// one line more\n`);
  else rmSync(join(copy, 'signature.json'));
  return copy;
}

beforeAll(async () => {
  await images();
  const taken = await imagesWith(join(place.path, 'images'), {
    sensor: 'test/swarm/programs/sensor.ts',
  });
  const changed = spoiled('vector', 'changed');
  const unsigned = spoiled('action', 'unsigned');
  const source = { kind: 'simulated', rows: 300, anomalies: 1 };
  const file = swarmFile(place.path, [
    { role: 'sensor', name: 'implant-1', source },
    // The vector service never answers; the model must have the time to.
    { ...ANALYZER, timeoutMs: 10_000 },
    ACTION,
  ]);
  held = await footholds(runPath);
  running = await start({
    file,
    runPath,
    imageFolder: (name) =>
      name === 'vector' ? changed : name === 'action' ? unsigned : taken(name),
  });
  implant = await held.of('sensor-implant-1');
}, 120_000);
afterAll(async () => {
  await held?.close();
  await running?.stop();
  place.remove();
});

describe('images that CI did not sign as they are', { timeout: 180_000 }, () => {
  test('a changed and an unsigned image run without an identity; everybody else works', async () => {
    const states = new Map(running.status().processes.map(({ name, state }) => [name, state]));
    expect(states.get('service-vector')).toBe('quarantined');
    expect(states.get('action-action-1')).toBe('quarantined');
    for (const [name, state] of states) {
      if (name !== 'service-vector' && name !== 'action-action-1')
        expect([name, state]).toEqual([name, 'ready']);
    }
    // The analyzer finds what it finds, without a runbook; nobody is there to act.
    const finding = await running.ledger.entry((entry) =>
      isMessage(entry, 'north.finding.analyzer-analyzer-1'),
    );
    expect(Buffer.from((finding.type === 'record' && finding.payload) || []).toString()).toContain(
      '"degraded":["runbook"]',
    );
    const ids = running.ledger
      .list({ limit: 100_000 })
      .flatMap((entry) => (entry.type === 'record' ? [entry.record.claims.iss as string] : []));
    expect(ids).not.toContain('spiffe://city.example/service/vector');
    expect(ids).not.toContain('spiffe://city.example/agent/action/north/action-1');
    const refused = await running.ledger.entry(() =>
      running.ledger.refusals().some(({ refusal }) => refusal.subject === 'workload-api'),
    );
    expect(refused).toBeDefined();
  });
});

describe.runIf(process.geteuid?.() === 0)('a swarm that root started', () => {
  const uidOf = (pid: number | undefined): string | undefined =>
    /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];

  test('has a uid for each process, none of them root', () => {
    expect(running.isolation.kind).toBe('uid-per-process');
    const uids = running.status().processes.map(({ pid }) => uidOf(pid));
    expect(new Set(uids).size).toBe(uids.length);
    expect(uids).not.toContain('0');
    expect(uids).not.toContain(undefined);
  });

  test('keeps for each what is its own: issuer, broker, services; and for root what is nobody’s', () => {
    const { run } = running;
    const owner = (path: string): string => String(statSync(path).uid);
    const mode = (path: string): number => statSync(path).mode & 0o777;
    const pids = new Map(running.status().processes.map(({ name, pid }) => [name, pid]));
    const uid = (name: string): string | undefined => uidOf(pids.get(name));
    for (const path of [
      run.issuer,
      join(run.issuer, 'issuer.key'),
      join(run.issuer, 'issuer.db'),
    ]) {
      expect([path, owner(path), mode(path) & 0o077]).toEqual([path, uid('issuer'), 0]);
    }
    const key = join(run.nats, 'server-key.pem');
    expect([owner(key), mode(key), owner(run.nats)]).toEqual([uid('nats'), 0o600, uid('nats')]);
    const works = join(run.services, 'service-city-works');
    expect([owner(works), mode(works)]).toEqual([uid('service-city-works'), 0o700]);
    expect([owner(run.tokenFile), mode(run.tokenFile)]).toEqual(['0', 0o600]);
    expect([owner(run.store), mode(run.store)]).toEqual(['0', 0o711]);
  });
});

describe('what an attested agent reaches from inside its flags', { timeout: 180_000 }, () => {
  test('not the control token, and without it nothing from the control socket', async () => {
    const { run } = running;
    expect(await implant.probe('read', run.tokenFile)).toBe('error ERR_ACCESS_DENIED');
    const guess = JSON.stringify({ token: 'x'.repeat(64), verb: 'stop', args: {} });
    // A socket may refuse the connection or the token: either way nothing is stopped.
    expect(String(await implant.probe('connect', `${run.controlSocket} ${guess}`))).toMatch(
      /CONTROL_DENIED|^error|^$/,
    );
    expect(running.status().state).toBe('running');
  });

  test('no file of the run but the image store, and no process of its own', async () => {
    const { run } = running;
    for (const path of [
      join(run.issuer, '..', 'owner.json'),
      join(run.nats, 'server-key.pem'),
      join(IMAGE_CACHE, '..', 'ci', 'ci-key.pem'),
      '/etc/passwd',
      `/proc/${process.pid}/environ`,
      dirname(run.path),
    ]) {
      expect([path, await implant.probe('read', path)]).toEqual([path, 'error ERR_ACCESS_DENIED']);
    }
    expect(await implant.probe('spawn')).toBe('error ERR_ACCESS_DENIED');
  });

  test('from the workload socket its own identity, however often it asks, and no other', () => {
    expect(implant.svids.map(({ id }) => id as string)).toContain(implant.self.id);
    expect(new Set(implant.svids.map(({ id }) => id)).size).toBe(1);
  });
});
