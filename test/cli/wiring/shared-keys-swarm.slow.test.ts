import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHECKOUT } from '#cli/wiring/checkout.ts';
import { IMAGE_CACHE, imageLike, imagesOf } from '#cli/wiring/images.ts';
import { encodeEnvelope, parseEnvelope, requestSubject } from '#cli/wiring/shared-keys/codec.ts';
import { connectWithKey } from '#cli/wiring/shared-keys/connect.ts';
import { type SharedKeysSwarm, startSharedKeys } from '#cli/wiring/shared-keys/swarm.ts';
import { SHARED_KEYS } from '#cli/wiring/variants.ts';
import { observeWorksState } from '#cli/wiring/works-observer.ts';
import { ACTION, ANALYZER, folder, survivors, swarmFile } from '#test/swarm/city.ts';
import { natsServer } from '#test/tools.ts';
import { AGENTS } from './off-flow.ts';

const place = folder();
const ROWS = 1200;
const LIKE = `test-${process.pid}`;
const running: SharedKeysSwarm[] = [];

/** Read at full speed: what a receiver cannot keep up with is where messages would be lost. */
function csv(): string {
  const path = join(place.path, 'cam-1.csv');
  const rows = Array.from({ length: ROWS }, (_, row) => {
    const at = new Date(Date.UTC(2026, 0, 2) + row * 60_000).toISOString();
    return `${at},${row === ROWS - 100 ? 2 : 60 + (row % 3)}`;
  });
  writeFileSync(path, `timestamp,value\n${rows.join('\n')}\n`);
  return path;
}

async function start(name: string, inputs: readonly string[] = []): Promise<SharedKeysSwarm> {
  const started = await startSharedKeys({
    file: swarmFile(place.path, AGENTS),
    inputs,
    runPath: join(place.path, name),
    runId: name,
    natsServer: natsServer(),
  });
  running.push(started);
  return started;
}

type Report = Readonly<Record<string, unknown>>;
const reportOf = (swarm: SharedKeysSwarm, name: string): Report =>
  swarm.status().processes.find((one) => one.name === name)?.report ?? {};

/** Looks again as often as processes report; for what no event tells. */
async function until<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const orderIn = (swarm: SharedKeysSwarm) =>
  until(async () => {
    const state = await observeWorksState(swarm.observe);
    return state.orders.length > 0 ? state : undefined;
  });

/** The key stands in the broker's configuration, and nowhere else. */
function keyOf(swarm: SharedKeysSwarm): string {
  const text = readFileSync(join(swarm.run.nats, 'nats-server.conf'), 'utf8');
  return /password: "([0-9a-f]{64})"/.exec(text)?.[1] ?? '';
}

let first: SharedKeysSwarm;
let second: SharedKeysSwarm;
beforeAll(async () => {
  await imagesOf(SHARED_KEYS, () => {}, ['sensor', 'analyzer', 'action', 'mcp']);
  [first, second] = await Promise.all([start('one', [`cam-1=${csv()}`]), start('two')]);
}, 120_000);
afterAll(async () => {
  for (const swarm of running) await swarm.stop();
  rmSync(join(IMAGE_CACHE, LIKE), { recursive: true, force: true });
  place.remove();
}, 60_000);

describe('a swarm with one shared key', () => {
  test('carries out what follows from a reading; two run side by side', async () => {
    for (const swarm of [first, second]) {
      expect(Object.keys((await orderIn(swarm)).signals)).toEqual(['north']);
      const { processes } = swarm.status();
      expect(processes.filter(({ state }) => state !== 'ready')).toEqual([]);
    }
    expect(keyOf(first)).not.toBe(keyOf(second));
    expect(first.natsUrl).not.toBe(second.natsUrl);
  });

  test('takes every row of a file once, in order', async () => {
    await until(() => reportOf(first, 'sensor-cam-1').phase === 'done' || undefined);
    const analyzer = await until(() => {
      const report = reportOf(first, 'analyzer-analyzer-1');
      return Number(report.received) >= ROWS ? report : undefined;
    });
    expect(analyzer).toMatchObject({ received: ROWS, role: { readings: ROWS, duplicates: 0 } });
    const lines = await until(() => {
      const all = readFileSync(first.log, 'utf8').split('\n');
      return all.filter((line) => line.includes(' took reading ')).length >= ROWS ? all : undefined;
    });
    const ids = (what: RegExp) => lines.flatMap((line) => what.exec(line)?.[1] ?? []);
    const sent = ids(/ sensor-cam-1 sent reading (\S+)/);
    expect(sent).toHaveLength(ROWS);
    expect(ids(/ analyzer-analyzer-1 took reading (\S+)/)).toEqual(sent);
  });

  test('lets in who has the key, as whoever he says he is, and nobody else', async () => {
    await expect(connectWithKey(first.natsUrl, keyOf(second))).rejects.toThrow(/uthoriz/);
    const nats = await connectWithKey(first.natsUrl, keyOf(first));
    const body = JSON.stringify({ method: 'GET', path: '/state', contentType: '', body: '' });
    const id = 'A'.repeat(43) as Parameters<typeof encodeEnvelope>[0]['id'];
    const asked = { from: 'service-mcp', id, kind: 'tool.call' as const, causes: [], body };
    const answer = await nats.request(requestSubject('city-works'), encodeEnvelope(asked), {
      timeout: 10_000,
    });
    const { from, body: answered = '' } = parseEnvelope(answer.data) ?? {};
    expect([from, JSON.parse(answered).status]).toEqual(['service-city-works', 200]);
    await nats.close();
  });

  test('ignores what is no message, and goes on', async () => {
    const nats = await connectWithKey(first.natsUrl, keyOf(first));
    for (const subject of ['north.reading', 'svc.llm', 'ack.sensor-cam-1', 'log']) {
      for (const text of ['', '{', 'null', '[]', '{"from":1}', '\u001b[2J\nforged']) {
        nats.publish(subject, text);
      }
    }
    await nats.drain();
    const names = ['service-llm', 'analyzer-analyzer-1', 'sensor-cam-1'];
    const { processes } = first.status();
    const states = processes.filter(({ name }) => names.includes(name));
    expect(states.map(({ state, restarts }) => [state, restarts])).toEqual(
      names.map(() => ['ready', 0]),
    );
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
    expect(readFileSync(first.log, 'utf8')).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });

  test('runs another image of an agent, signed like every other, and takes it back', async () => {
    const imageFolder = await imageLike('action', {
      folder: LIKE,
      variant: SHARED_KEYS,
      replace: { 'cli/wiring/membership.ts': 'test/cli/wiring/programs/membership.ts' },
    });
    const replaced = await second.replaceAgent('action-1', { imageFolder });
    expect(replaced).toMatchObject({ ok: true, value: { agent: 'action-action-1' } });
    const logOf = () => readFileSync(join(second.run.logs, 'action-action-1.log'), 'utf8');
    await until(() => logOf().includes('joined by more than one module') || undefined);
    const back = await second.rollbackAgent('action-1');
    expect(back.ok).toBe(true);
    expect(second.status().processes.find(({ name }) => name === 'action-action-1')).toMatchObject({
      state: 'ready',
    });
  });

  test('the key is in no log and in no command line, and goes with the run', async () => {
    const key = keyOf(second);
    expect(key).toHaveLength(64);
    const logs = readdirSync(second.run.logs).map((name) => join(second.run.logs, name));
    for (const path of [...logs, second.log]) {
      expect(readFileSync(path, 'utf8')).not.toContain(key);
    }
    for (const { pid } of second.status().processes) {
      if (process.platform !== 'linux' || pid === undefined) continue;
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(key);
      expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.toContain(key);
    }
    const pids = second.status().processes.flatMap(({ pid }) => pid ?? []);
    await second.stop();
    expect(existsSync(join(second.run.nats, 'nats-server.conf'))).toBe(false);
    expect(await survivors(pids, 0)).toEqual([]);
    expect(existsSync(second.observe)).toBe(false);
  });

  test('a start that is given up leaves nothing, and its folder can be used again', async () => {
    const given = {
      file: swarmFile(place.path, AGENTS),
      inputs: [],
      runPath: join(place.path, 'given-up'),
      runId: 'given-up',
      natsServer: natsServer(),
    };
    const abort = new AbortController();
    const started = startSharedKeys({ ...given, signal: abort.signal });
    const log = join(given.runPath, 'messages.log');
    await until(() => existsSync(log) || undefined);
    abort.abort();
    await expect(started).rejects.toThrow(/stopp/);
    expect(existsSync(join(given.runPath, 'nats', 'nats-server.conf'))).toBe(false);
    const missing = startSharedKeys({ ...given, natsServer: '/nowhere/nats-server' });
    await expect(missing).rejects.toThrow(/nats/);
  });

  test('ends with its supervisor, also when that is killed', async () => {
    const program = join(CHECKOUT, 'test/cli/wiring/programs/shared-keys.ts');
    const file = swarmFile(place.path, [ANALYZER, ACTION]);
    const args = [program, file, join(place.path, 'killed'), natsServer()];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'close');
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    const pids = JSON.parse(line) as number[];
    expect(pids).toHaveLength(7);
    child.kill('SIGKILL');
    await ended;
    expect(await survivors(pids, 10_000)).toEqual([]);
  });
});
