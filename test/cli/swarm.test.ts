import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StatusView } from '#cli/story/status-lines.ts';
import { openX509Source } from '#identity/workload-api/client.ts';
import { CONTROLS, type Ended, folder, lines, run, start } from './support.ts';

/**
 * One real swarm, asked by real commands. Its analyzer may call the model once a minute: the first
 * finding leads to an action, the second is denied the model, so both are there to be explained.
 */
const place = folder();
const file = join(place.path, 'swarm.yaml');
const source = { kind: 'simulated', seed: 3, rows: 400, anomalies: 4 };
const swarm = {
  apiVersion: 'swarmproof/v1',
  name: 'city',
  trustDomain: 'city.example',
  svidTtl: '20s',
  roles: {
    sensor: { publish: ['reading'] },
    analyzer: {
      consume: ['reading'],
      publish: ['finding'],
      services: ['llm', 'vector'],
      models: ['city-small'],
      collections: { runbooks: ['read'] },
      tools: ['signal.set_plan'],
      budget: { callsPerMinute: 1, tokensPerHour: 500_000 },
    },
    action: { consume: ['finding'], services: ['mcp'], tools: ['signal.set_plan'] },
  },
  agents: [
    { role: 'sensor', district: 'north', name: 'cam-1', source },
    {
      role: 'analyzer',
      district: 'north',
      name: 'analyzer-1',
      detector: { window: 32, warmup: 16 },
      // The one answer of the model is needed: it is not too late on a busy machine.
      timeoutMs: 60_000,
    },
    { role: 'action', district: 'north', name: 'action-1' },
  ],
  services: {
    llm: { models: ['city-small'] },
    vector: { collections: ['runbooks'] },
    mcp: { services: ['city-works'] },
    'city-works': {},
  },
  tools: { 'signal.set_plan': { arguments: { plan: { enum: ['A', 'B', 'C'] } } } },
};

const swarmproof = (...args: readonly string[]): Promise<Ended> => run(place.path, ...args);
const up = { told: [] as { what: string; who: string; text: string }[], err: '' };
let child: ReturnType<typeof start>;
const heard = new Set<() => void>();

/** Resolves when `up --json` has told something of this kind. */
async function told(what: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = (): void => {
    if (up.told.some((one) => one.what === what)) resolve();
  };
  heard.add(look);
  child.once('close', () => reject(new Error(`ended before "${what}": ${up.err}`)));
  look();
  await promise;
  heard.delete(look);
}

beforeAll(async () => {
  writeFileSync(file, JSON.stringify(swarm));
  child = start(place.path, ['up', file, '--json']);
  let rest = '';
  child.stdout.on('data', (data: Buffer) => {
    const parts = `${rest}${data}`.split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) if (line.startsWith('{"at"')) up.told.push(JSON.parse(line));
    for (const look of heard) look();
  });
  child.stderr.on('data', (data: Buffer) => {
    up.err += data.toString();
  });
  await told('action');
  await told('denied');
}, 120_000);
afterAll(async () => {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM');
    await once(child, 'close');
  }
  place.remove();
}, 60_000);

test('status shows each process with its identity, and what the ledger holds, at 80 columns', async () => {
  const { code, out, err } = await swarmproof('status');
  expect([code, err]).toEqual([0, '']);
  for (const line of lines(out)) expect(line.length).toBeLessThanOrEqual(80);
  expect(out).toMatch(
    /^cam-1 +ready +\d+ +\/agent\/sensor\/north\/cam-1 +0 +[0-9a-f]{6} +\d+s +\d+$/m,
  );
  expect(out).toMatch(/^ledger: \d+ readings recorded, \d+ messages acknowledged,$/m);
  // One may have been raised while the machine stood still, and is over.
  expect(out).toMatch(/^alarms: none(?:, \d+ over)?$/m);
  if (process.platform === 'linux') {
    const found =
      process.geteuid?.() === 0
        ? /^each of 15 processes has a uid of its own$/m
        : /^uid \d+ is shared by 15 processes/m;
    expect(out).toMatch(found);
  }
  const json = JSON.parse((await swarmproof('status', '--json')).out) as StatusView;
  expect(json.processes).toHaveLength(15);
  expect(json.counts).toMatchObject({ acts: 1 });
  expect(json.alarms?.filter(({ until }) => until === undefined)).toEqual([]);
  expect(json.counts.denials).toBeGreaterThan(0);
});

test('custody show last proves the action down to the reading', async () => {
  const { code, out } = await swarmproof('custody', 'show', 'last');
  expect(code).toBe(0);
  for (const part of [
    'act: signal.set_plan plan=',
    '/agent/action/north/action-1',
    'finding: ',
    '/agent/analyzer/north/analyzer-1',
    'reading: ',
    '/agent/sensor/north/cam-1',
    'chat: city-small (unsigned)',
    'result: vector found',
    'PROVEN  7 records: 7 genuine',
  ]) {
    expect(out).toContain(part);
  }
});

test('custody list shows the newest last, and one kind alone', async () => {
  const all = lines((await swarmproof('custody', 'list', '--limit', '5')).out);
  expect(all).toHaveLength(6);
  const acts = JSON.parse((await swarmproof('custody', 'list', '--kind', 'act', '--json')).out) as {
    index: number;
    by: string;
    claims: { knd: string };
  }[];
  expect(acts.map(({ claims }) => claims.knd)).toEqual(['act', 'act']);
  const indexes = acts.map(({ index }) => index);
  expect(indexes).toEqual(indexes.toSorted((a, b) => a - b));
});

test('why explains the action by the rules that allowed it, and a denial by the one that did not', async () => {
  const acts = lines((await swarmproof('custody', 'list', '--kind', 'act')).out);
  const id = acts.find((line) => line.includes('action-1'))?.split(' ')[0] ?? '';
  const allowed = await swarmproof('why', '--', id);
  expect([allowed.code, lines(allowed.out)[0]]).toEqual([0, 'ALLOWED']);
  expect(allowed.out).toMatch(/policy\/rego\/authz\.rego:\d+ {2}tool_granted/);
  const denials = lines((await swarmproof('custody', 'list', '--kind', 'denial')).out);
  const denial = await swarmproof('why', '--', denials[1]?.split(' ')[0] ?? '');
  expect([denial.code, lines(denial.out)[0]]).toEqual([0, 'DENIED     BUDGET_EXCEEDED']);
  expect(denial.out).toMatch(/unproven {3}policy\/rego\/authz\.rego:\d+ {2}budget_left/);
  expect(denial.out).toMatch(/with certificate [0-9a-f]{32}/);
  expect(denial.out).toMatch(/revision {3}[0-9a-f]{64}/);
  expect(denial.out).toContain(', genuine');
});

test('a stranger at the Workload API is refused, and why last says who, why and where', async () => {
  const ended = new AbortController();
  const denied = Promise.withResolvers<void>();
  openX509Source({
    socketPath: join(place.path, 'runs', 'default', 'workload.sock'),
    trustDomain: 'city.example',
    signal: ended.signal,
    onState: ({ kind }) => {
      if (kind === 'denied') denied.resolve();
    },
  }).then(
    (source) => source.close(),
    () => {},
  );
  await denied.promise;
  ended.abort();
  await told('refused');
  const { code, out } = await swarmproof('why', 'last');
  expect(code).toBe(0);
  expect(lines(out)[0]).toBe('REFUSED    NOT_LAUNCHED');
  expect(out).toContain(`pid-${process.pid} (a process, as the kernel told)`);
  expect(out).toContain('the Workload API');
});

test('up has told of finding, action, degradation, denial and refusal, a line each', () => {
  const kinds = new Set(up.told.map(({ what }) => what));
  kinds.delete('alarm');
  expect([...kinds].sort()).toEqual(['action', 'denied', 'finding', 'refused']);
  const texts = up.told.map(({ what, who, text }) => `${what} ${who} ${text}`);
  expect(texts).toContainEqual(expect.stringMatching(/^action action-1 signal\.set_plan plan=/));
  expect(texts).toContainEqual('denied llm BUDGET_EXCEEDED (budget_left), to analyzer-1');
  expect(texts).toContainEqual(expect.stringMatching(/^finding .*degraded: without model$/));
  expect(texts.join('')).not.toMatch(CONTROLS);
});

test('doctor says row by row what the machine has', async () => {
  const { code, out } = await swarmproof('doctor', '--json');
  const rows = JSON.parse(out) as { name: string; ok: string }[];
  expect(code).toBe(rows.some(({ ok }) => ok === 'fail') ? 1 : 0);
  expect(rows.find(({ name }) => name === 'nats-server')?.ok).toBe('ok');
});

test('stop ends it; after that every command says that no swarm runs', async () => {
  const ended = once(child, 'close');
  const stopped = await swarmproof('stop');
  expect([stopped.code, stopped.out]).toEqual([0, 'stopped\n']);
  expect((await ended)[0]).toBe(0);
  expect(existsSync(join(place.path, 'runs', 'default', 'control.path'))).toBe(false);
  const commands = [['status'], ['stop'], ['custody', 'show', 'last'], ['why', 'last']];
  const answers = await Promise.all(commands.map((args) => swarmproof(...args)));
  for (const { code, out, err } of answers) {
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(/^swarmproof: no swarm runs under .*; start one with 'swarmproof up'\n$/);
  }
  const named = await swarmproof('status', '--run', 'other');
  expect([named.code, named.err]).toEqual([1, expect.stringContaining('runs/other: no swarm')]);
});

test.concurrent.each([
  [['custody', 'list', '--kind', 'nothing'], 'Allowed choices'],
  [['custody', 'list', '--limit', '0'], 'from 1 to'],
  [['custody', 'show'], "missing required argument 'record'"],
  [['statsu'], 'Did you mean status?'],
])('%s is a mistake of usage: exit code 2', async (args, why) => {
  const { code, err } = await swarmproof(...args);
  expect([code, err]).toEqual([2, expect.stringContaining(why)]);
});
