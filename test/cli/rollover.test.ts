import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockState } from '#runtime/state-lock.ts';
import { value } from '#test/runtime/support.ts';
import { folder, lines, run } from './support.ts';
import { createCustodyRun } from './wiring/custody.ts';

let at: Awaited<ReturnType<typeof createCustodyRun>>;
let state: ReturnType<typeof folder>;
beforeEach(async () => {
  state = folder();
  at = await createCustodyRun();
  const { signer } = await at.up();
  await at.head(5, signer);
  await at.down();
  await mkdir(join(state.path, 'runs'));
  await symlink(at.run.path, join(state.path, 'runs', 'default'));
});
afterEach(async () => {
  state.remove();
  await at.clear();
});

const rollover = (...args: readonly string[]) => run(state.path, 'custody', 'rollover', ...args);

test('custody rollover changes the keys that it is told, and says which are in force from where on', async () => {
  const before = (await at.keys()).logKey;
  const { code, out, err } = await rollover('--log', '--witness', 'witness-2');
  expect([code, err]).toEqual([0, '']);
  const [first, log, ...more] = lines(out);
  expect(first).toBe(
    'From 6 entries on these keys are in force; the next start enters the change:',
  );
  const after = (await at.keys()).logKey;
  expect(log).toBe(`  log      ${after}`);
  expect(after).not.toBe(before);
  expect(more.filter((line) => line.startsWith('  witness  '))).toHaveLength(3);
  expect(more.slice(3).join(' ')).toMatch(/give readers a new trust file/);
  const json = await rollover('--replace', 'witness-1', '--json');
  expect(JSON.parse(json.out)).toMatchObject({ from: 7, log: [after], quorum: 2 });
});

test('custody rollover says in one line why it does nothing', async () => {
  const lock = value(await lockState(at.run.path));
  const refused: readonly [readonly string[], RegExp][] = [
    [[], /say what gets another key/],
    [['--witness', 'witness-9'], /one of witness-1, witness-2, witness-3/],
    [['--log', '--run', 'other'], /there is no such run/],
    [['--log'], /in use by process/],
  ];
  for (const [args, why] of refused) {
    const { code, out, err } = await rollover(...args);
    expect(code, args.join(' ')).not.toBe(0);
    expect(out).toBe('');
    expect(err).toMatch(why);
  }
  lock.release();
  const { err } = await rollover('--replace', 'witness-1', '--replace', 'witness-2');
  expect(err).toMatch(/1 of 2 witnesses can agree: those to be replaced are not asked\n$/);
});
