import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whenIdle } from '#cli/wiring/idle.ts';
import { observeWorksState } from '#cli/wiring/works-observer.ts';
import { entriesOf } from './account.ts';
import { ACTION, ANALYZER, folder, images, start, survivors, swarmFile } from './city.ts';
import { type Cli, pidsIn, statusOf, swarmproof } from './cli.ts';

/** That its processes end is what counts; how soon they do is measured, and printed. */
const GONE_WITHIN_MS = 60_000;

const place = folder();
const state = (name: string) => join(place.path, name);
const runOf = (name: string) => join(state(name), 'runs', 'default');
const started: Cli[] = [];
const figures: Record<string, number> = {};

const SOURCE = { kind: 'simulated', seed: 3, rows: 400, anomalies: 1 };
const agents = [{ role: 'sensor', name: 'cam-1', source: SOURCE }, ANALYZER, ACTION];
let file: string;

function up(name: string, ...more: readonly string[]): Cli {
  const cli = swarmproof('--state-dir', state(name), 'up', file, '--json', ...more);
  started.push(cli);
  return cli;
}

/** Both the folder of the run and the system's folder for temporary files, as far as it is ours. */
function leftovers(name: string): readonly string[] {
  const temporary = readdirSync(tmpdir()).filter((one) => /^swarmproof-.{6}$/.test(one));
  const sockets = readdirSync(runOf(name), { withFileTypes: true })
    .filter((entry) => entry.isSocket() || /^control\./.test(entry.name))
    .map((entry) => entry.name);
  return [...temporary, ...sockets];
}

/** Processes of this machine that name the folder on their command line. */
function mentioning(path: string): readonly string[] {
  return execFileSync('ps', ['-A', '-o', 'stat=,pid=,args='], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(path) && !line.startsWith('Z'));
}

beforeAll(async () => {
  await images();
  file = swarmFile(place.path, agents);
});
afterAll(async () => {
  process.stdout.write(`lifecycle, milliseconds: ${JSON.stringify(figures)}\n`);
  for (const { child } of started) child.kill('SIGKILL');
  await Promise.all(started.map(({ ended }) => ended));
  place.remove();
});

describe('the life of a swarm', { timeout: 300_000 }, () => {
  test('kill -9 of the supervisor ends every process, and its folder starts again', async () => {
    const cli = up('killed');
    await cli.said('"action"');
    const pids = pidsIn(await statusOf(runOf('killed')));
    // Three agents, four services, a ledger, issuer, broker, two gates and three witnesses.
    expect(pids).toHaveLength(15);
    const began = performance.now();
    cli.child.kill('SIGKILL');
    expect(await survivors(pids, GONE_WITHIN_MS)).toEqual([]);
    figures['supervisor killed to all gone'] = Math.round(performance.now() - began);
    await cli.ended;
    expect(mentioning(state('killed'))).toEqual([]);

    const again = up('killed', '--until-done');
    const { code, output } = await again.ended;
    expect(output).toContain('"counts"');
    expect(code).toBe(0);
    expect(leftovers('killed')).toEqual([]);
  });

  test('two swarms side by side: neither sees the other, and a second up on a folder is refused in one line', async () => {
    const before = performance.now();
    const [left, right] = [up('left'), up('right')];
    await Promise.all([left.said('"action"'), right.said('"action"')]);
    figures['two at once, start to first action'] = Math.round(performance.now() - before);
    const [one, two] = [await statusOf(runOf('left')), await statusOf(runOf('right'))];
    expect(pidsIn(one).filter((pid) => pidsIn(two).includes(pid))).toEqual([]);

    const refused = await up('left').ended;
    expect(refused.code).toBe(1);
    expect(refused.output.trim().split('\n')).toHaveLength(1);
    expect(refused.output).toContain(`in use by process ${left.child.pid}`);
    expect((await statusOf(runOf('left'))).state).toBe('running');

    left.child.kill('SIGTERM');
    expect((await left.ended).code).toBe(0);
    expect(await survivors(pidsIn(one), 0)).toEqual([]);
    expect(leftovers('left')).toEqual([]);
    // Only the one that was stopped has stopped.
    const other = await statusOf(runOf('right'));
    expect(
      other.processes.every(({ state: now, restarts }) => now === 'ready' && restarts === 0),
    ).toBe(true);
    right.child.kill('SIGINT');
    expect((await right.ended).code).toBe(0);
    expect(await survivors(pidsIn(two), 0)).toEqual([]);
    expect(mentioning(place.path)).toEqual([]);
    expect(leftovers('right')).toEqual([]);
  });

  test('a second start on a folder finds its state: the ledger grows on, city works keep theirs', async () => {
    const runPath = join(place.path, 'again');
    const first = await start({ file, runPath });
    await whenIdle(first);
    const works = await observeWorksState(first.observe);
    expect(works.orders).toHaveLength(1);
    await first.stop();
    const before = entriesOf(first).map(({ index }) => index);
    const second = await start({ file, runPath });
    try {
      const entries = entriesOf(second);
      expect(entries.length).toBeGreaterThanOrEqual(before.length);
      expect(entries.map(({ index }) => index)).toEqual(entries.map((_entry, index) => index));
      const kept = await observeWorksState(second.observe);
      expect(kept.orders.slice(0, 1)).toEqual(works.orders);
      const known = entries.length;
      const next = await second.ledger.entry(({ index }) => index >= known, known);
      expect(next.index).toBe(known);
    } finally {
      await second.stop();
    }
    expect(mentioning(runPath)).toEqual([]);
  });
});
