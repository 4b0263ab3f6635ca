import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { implantedImage } from '#cli/inject/implant/images.ts';
import { serveSwarm } from '#cli/wiring/control.ts';
import { IMAGE_CACHE } from '#cli/wiring/images.ts';
import type { RunningSwarm } from '#cli/wiring/swarm.ts';
import { askControl } from '#runtime/control/client.ts';
import type { ControlServer } from '#runtime/control/server.ts';
import { ACTION, ANALYZER, event, folder, pidOf, start, swarmFile } from './city.ts';

const place = folder();
let running: RunningSwarm;
let control: ControlServer;
const CAM = 'sensor-cam-2';

beforeAll(async () => {
  const source = { kind: 'simulated', rows: 100_000, intervalMs: 20 };
  const file = swarmFile(place.path, [
    { role: 'sensor', name: 'cam-1', source },
    { role: 'sensor', name: 'cam-2', source },
    ANALYZER,
    ACTION,
  ]);
  running = await start({ file, runPath: join(place.path, 'run') });
  control = await serveSwarm(running, () => {});
}, 300_000);
afterAll(async () => {
  await control?.close();
  await running?.stop();
  place.remove();
});

const pids = () => new Map(running.status().processes.map(({ name, pid }) => [name, pid]));
const ask = (verb: string, args: Record<string, unknown>, signal?: AbortSignal) =>
  askControl(
    { socketPath: running.run.controlSocket, token: running.run.token },
    verb,
    args,
    () => {},
    signal,
  );

/** The next reading of that sensor that reaches the ledger from now on. */
const reading = (name: string) =>
  running.ledger.entry(
    (entry) =>
      entry.type === 'record' &&
      entry.record.claims.knd === 'root' &&
      entry.record.claims.iss.endsWith(`/${name}`),
    running.ledger.size(),
  );

describe('one agent of a running swarm', () => {
  test('runs another signed image of its role, attested by its own digest, and goes back', async () => {
    const before = pids();
    const honest = await running.rollbackAgent(CAM);
    if (!honest.ok) throw new Error(honest.detail);
    const replaced = await running.replaceAgent('cam-2', {
      imageFolder: await implantedImage('sensor', []),
    });
    if (!replaced.ok) throw new Error(replaced.detail);
    expect(replaced.value).toMatchObject({ agent: CAM, pid: pidOf(running, CAM) });
    expect(replaced.value.image).not.toBe(honest.value.image);
    await reading('cam-2');
    const back = await running.rollbackAgent(CAM);
    expect(back).toMatchObject({ ok: true, value: { image: honest.value.image } });
    await reading('cam-2');
    const after = pids();
    for (const [name, pid] of before) {
      if (name !== CAM) expect(after.get(name), name).toBe(pid);
    }
    expect(running.status().processes.every(({ restarts }) => restarts === 0)).toBe(true);
    expect(running.ledger.refusals().map(({ refusal }) => refusal.code)).toEqual([]);
  }, 240_000);

  test('reads another file, on which it may then wait for more', async () => {
    const feed = join(place.path, 'feed.ndjson');
    const row = (value: number) => `{"timestamp":"2026-01-05T08:00:00Z","value":${value}}\n`;
    writeFileSync(feed, row(41));
    const replaced = await running.replaceAgent(CAM, { input: { path: feed, follow: true } });
    expect(replaced).toMatchObject({ ok: true });
    const value = async () =>
      JSON.parse(
        Buffer.from(
          (
            (await running.ledger.entry(
              (entry) =>
                entry.type === 'record' && Buffer.from(entry.payload ?? []).includes('"value":42'),
            )) as { payload: Uint8Array }
          ).payload,
        ).toString(),
      ) as { value: number };
    writeFileSync(feed, row(42), { flag: 'a' });
    expect(await value()).toMatchObject({ value: 42, row: 2 });
    expect(await running.rollbackAgent(CAM)).toMatchObject({ ok: true });
    await reading('cam-2');
  }, 240_000);

  test('is left alone when what is asked for is not to be had', async () => {
    const before = pids();
    const unsigned = join(place.path, 'unsigned');
    cpSync(join(IMAGE_CACHE, 'sensor'), unsigned, { recursive: true });
    rmSync(join(unsigned, 'signature.json'));
    const missing = join(place.path, 'nothing');
    const csv = join(place.path, 'rows.csv');
    writeFileSync(csv, 'timestamp,value\n2026-01-05,1\n');
    for (const [agent, rollout, code] of [
      ['cam-9', {}, 'AGENT_UNKNOWN'],
      ['service-mcp', {}, 'AGENT_UNKNOWN'],
      [CAM, { imageFolder: unsigned }, 'ROLLOUT_UNSIGNED'],
      [CAM, { imageFolder: join(IMAGE_CACHE, 'action') }, 'ROLLOUT_OTHER_ROLE'],
      [CAM, { imageFolder: missing }, 'IMAGE_UNREADABLE'],
      [CAM, { input: { path: missing } }, 'INPUT_INVALID'],
      [CAM, { input: { path: csv, follow: true } }, 'INPUT_INVALID'],
      ['action-1', { input: { path: csv } }, 'INPUT_INVALID'],
    ] as const) {
      expect(await running.replaceAgent(agent, rollout), code).toMatchObject({ ok: false, code });
    }
    expect(await running.replaceAgent('cam-', {})).toMatchObject({
      detail: expect.stringContaining('sensor-cam-1'),
    });
    expect(pids()).toEqual(before);
  }, 240_000);

  test('goes back when what was rolled out does not come up', async () => {
    const empty = join(place.path, 'empty.ndjson');
    writeFileSync(empty, '');
    const outcome = await running.replaceAgent(CAM, { input: { path: empty, follow: true } });
    expect(outcome).toMatchObject({ ok: false, code: 'ROLLOUT_FAILED' });
    await reading('cam-2');
  }, 240_000);
});

describe('over the control socket', () => {
  test('needs the token', async () => {
    const address = { socketPath: running.run.controlSocket, token: 'x' };
    expect(await askControl(address, 'replace', { agent: CAM })).toMatchObject({
      ok: false,
      code: 'CONTROL_DENIED',
    });
  });

  test('a lease ends with its caller, however that ends', async () => {
    const gone = new AbortController();
    const imageFolder = await implantedImage('sensor', []);
    const replaced = event(running, ({ type, name }) => type === 'ready' && name === CAM);
    void ask('replace', { agent: CAM, imageFolder, lease: true }, gone.signal);
    const held = await replaced;
    const back = event(running, ({ type, name }) => type === 'ready' && name === CAM);
    gone.abort();
    expect(await back).not.toMatchObject({ pid: 'pid' in held ? held.pid : 0 });
    await reading('cam-2');
  }, 240_000);
});
