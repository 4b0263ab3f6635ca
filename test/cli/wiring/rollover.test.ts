import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openCustodyKeys } from '#cli/wiring/custody-keys.ts';
import { policyInForce } from '#cli/wiring/custody-policy.ts';
import { type RolloverRequest, rollOver } from '#cli/wiring/custody-rollover.ts';
import { createHeads } from '#custody/evidence/heads.ts';
import { lockState } from '#runtime/state-lock.ts';
import { value } from '#test/runtime/support.ts';
import { createCustodyRun, TRUST_DOMAIN } from './custody.ts';

let at: Awaited<ReturnType<typeof createCustodyRun>>;
beforeEach(async () => {
  at = await createCustodyRun();
});
afterEach(() => at.clear());

const change = (more: Partial<RolloverRequest>) =>
  rollOver({
    runPath: at.run.path,
    log: false,
    witnesses: [],
    replaced: [],
    clock: Date.now,
    ...more,
  });
/** A swarm that ran until five entries were witnessed, and is down. */
async function began() {
  const { signer, witnesses, keys } = await at.up();
  const note = await at.head(5, signer);
  const pins = witnesses.pins();
  await at.down();
  return { signer, keys, pins, note };
}

describe('the keys of a run', () => {
  test('stay the same over restarts', async () => {
    const first = await began();
    const again = await at.up();
    expect(again.witnesses.pins()).toEqual(first.pins);
    expect(again.keys).toMatchObject({ origin: first.keys.origin, logKey: first.keys.logKey });
    expect(again.keys.attesterKey).toBe(first.keys.attesterKey);
    expect(first.keys.origin).toMatch(/^city\.example\/ledger\/[0-9a-f]{8}$/);
  });

  test('are not made anew where they were lost, nor taken for those of another domain', async () => {
    const { keys } = await began();
    const folder = at.run.custody;
    for (const name of ['ledger.key', 'attester.key']) {
      const path = join(folder, name);
      await rename(path, `${path}.away`);
      expect(await openCustodyKeys({ folder, trustDomain: TRUST_DOMAIN })).toMatchObject({
        code: 'KEY_FILE_UNUSABLE',
      });
      await rename(`${path}.away`, path);
    }
    expect(await openCustodyKeys({ folder, trustDomain: 'other.example' })).toMatchObject({
      code: 'CUSTODY_FOLDER_OF_ANOTHER',
    });
    expect(value(await openCustodyKeys({ folder })).origin).toBe(keys.origin);
  });

  test('are refused when a pin is damaged', async () => {
    await began();
    const path = join(at.run.custody, 'pins.json');
    const good = await readFile(path, 'utf8');
    for (const bad of ['', '{', '{}', good.replace('"quorum": 2', '"quorum": 0')]) {
      await writeFile(path, bad);
      expect(await openCustodyKeys({ folder: at.run.custody })).toMatchObject({
        code: 'CUSTODY_PINS_DAMAGED',
      });
    }
    await writeFile(path, good.replace(/"(city\.example\/ledger[^"]*)\+A/, '"$1+B'));
    expect((await openCustodyKeys({ folder: at.run.custody })).ok).toBe(false);
    await writeFile(path, good);
    await at.up();
  });

  test('a witness whose folder is gone is not taken for the one that is pinned', async () => {
    await began();
    const { witnesses } = await at.up(['witness-1', 'witness-2']);
    const stranger = await createCustodyRun();
    try {
      const other = await stranger.up();
      const vkey = other.witnesses.pins().witnesses[2] ?? '';
      expect(witnesses.told('witness-3', vkey)).toMatchObject({ code: 'WITNESS_KEY_CHANGED' });
      expect(witnesses.told('witness-3', 'no key')).toMatchObject({ code: 'WITNESS_KEY_CHANGED' });
    } finally {
      await stranger.clear();
    }
  });
});

describe('a change of keys', () => {
  test('of the log and of a witness is in force after it: the old ones sign nothing more', async () => {
    const first = await began();
    const rollover = value(await change({ log: true, witnesses: ['witness-1'] }));
    expect(rollover.from).toBe(6);
    const { signer, witnesses } = await at.up();
    const pins = witnesses.pins();
    expect(pins.log).not.toEqual(first.pins.log);
    expect(pins.witnesses[0]).not.toBe(first.pins.witnesses[0]);
    expect(pins.witnesses.slice(1)).toEqual(first.pins.witnesses.slice(1));
    await expect(at.head(7, first.signer)).rejects.toThrow('WITNESS_LOG_UNSIGNED');
    const note = await at.head(7, signer);

    // Whoever pinned the first keys follows, and takes each head under the keys of its size.
    const [genesis] = witnesses.policies();
    const heads = createHeads(genesis.policy);
    for (const change of witnesses.ledgerConfig().rollovers) value(heads.rollover(change));
    value(heads.add({ note: first.note, consistency: [] }));
    const consistency = at.log.consistency(5, 7);
    expect(value(heads.add({ note, consistency }))).toMatchObject({ size: 7 });
    expect(createHeads(genesis.policy).add({ note, consistency: [] }).ok).toBe(false);
  });

  test('a witness with a new key remembers what it cosigned under the old one', async () => {
    await began();
    value(await change({ witnesses: ['witness-1', 'witness-2', 'witness-3'] }));
    const { signer } = await at.up();
    at.log.append('entry 5');
    await at.head(6, signer);
    expect(await readdir(join(at.run.witnesses, 'witness-1'))).toEqual([
      'forks',
      'memory',
      'witness.key',
    ]);
  });

  test('puts another witness in the place of one that is damaged, which begins where the others are', async () => {
    await began();
    await rm(join(at.run.witnesses, 'witness-2'), { recursive: true });
    expect(await change({ witnesses: ['witness-2'] })).toMatchObject({ code: 'ROLLOVER_FAILED' });
    value(await change({ replaced: ['witness-2'] }));
    const { signer, witnesses } = await at.up();
    expect(await at.head(8, signer)).toContain(`${TRUST_DOMAIN}/witness-2`);
    expect(witnesses.newest()).toMatchObject({ size: 8 });
    await at.down();
    // Two in a row, the second without an entry between them.
    value(await change({ replaced: ['witness-3'] }));
    expect(value(await change({ log: true })).from).toBe(10);
    await at.head(11, (await at.up()).signer);
  });

  test('is not made without a quorum of those in force, nor before there are keys, nor beside a running swarm', async () => {
    const nothing = await change({ log: true });
    expect(nothing.ok).toBe(false);
    await began();
    expect(await change({ replaced: ['witness-1', 'witness-2'] })).toMatchObject({
      code: 'ROLLOVER_FAILED',
      detail: expect.stringContaining('1 of 2 witnesses can agree'),
    });
    for (const name of ['witness-1', 'witness-3']) {
      await writeFile(join(at.run.witnesses, name, 'memory'), 'damaged');
    }
    expect(await change({ log: true })).toMatchObject({ code: 'ROLLOVER_FAILED' });
    const lock = value(await lockState(at.run.path));
    expect(await change({ log: true })).toMatchObject({ code: 'STATE_LOCKED' });
    lock.release();
    expect(await readdir(join(at.run.custody, 'rollovers'))).toEqual([]);
  });

  test('that a crash ended before its note changes nothing, and after its note is finished by the next start', async () => {
    const before = await began();
    const saved = join(at.run.path, 'saved');
    const files = ['custody/ledger.key', 'witnesses/witness-1/witness.key'];
    const memory = 'witnesses/witness-1/memory';
    await mkdir(saved);
    for (const [index, file] of [...files, memory].entries()) {
      await copyFile(join(at.run.path, file), join(saved, String(index)));
    }
    value(await change({ log: true, replaced: ['witness-1'] }));
    const done = policyInForce(
      value(await openCustodyKeys({ folder: at.run.custody })).history ?? fail(),
    );
    // As it was between the write of the note and the first of the renames.
    for (const [index, file] of files.entries()) {
      await rename(join(at.run.path, file), join(at.run.path, `${file}.next`));
      await copyFile(join(saved, String(index)), join(at.run.path, file));
    }
    await rename(join(at.run.path, memory), join(at.run.path, `${memory}.next`));
    await writeFile(join(at.run.path, memory), 'damaged');
    const after = await at.up();
    expect(after.witnesses.pins().witnesses).toEqual(done.witnesses.map(({ vkey }) => vkey));
    await at.head(7, after.signer);
    await at.down();
    // As it was before the note, with the new keys already beside the old ones.
    await rm(join(at.run.custody, 'rollovers', '000001.note'));
    for (const [index, file] of files.entries()) {
      await rename(join(at.run.path, file), join(at.run.path, `${file}.next`));
      await copyFile(join(saved, String(index)), join(at.run.path, file));
    }
    const back = await at.up();
    expect(back.witnesses.pins()).toEqual(before.pins);
  });

  test('that nobody in force signed is no change', async () => {
    await began();
    value(await change({ log: true }));
    const path = join(at.run.custody, 'rollovers', '000001.note');
    const note = await readFile(path, 'utf8');
    await writeFile(path, note.split('\n').slice(0, -2).join('\n'));
    expect(await openCustodyKeys({ folder: at.run.custody })).toMatchObject({
      code: 'CUSTODY_PINS_DAMAGED',
    });
  });
});

function fail(): never {
  throw new Error('no history');
}
