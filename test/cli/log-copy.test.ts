import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeEntry, type LedgerEntry } from '#custody/ledger/entry.ts';
import { leafOf, leafText } from '#custody/ledger/leaf.ts';
import { signCheckpoint } from '#custody/log/checkpoint.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import { createStory, createTestLedger, submission } from '#test/custody/ledger/support.ts';
import { policy, testHeads, testWitnesses } from '#test/custody/ledger/witnesses.ts';
import { logSigner, noteSigner, ORIGIN } from '#test/custody/log/support.ts';
import { createTestSwarm } from '#test/custody/support.ts';
import { createLogCopy, judgeStored, type LogCopy } from '../../cli/wiring/log-copy.ts';

let entries: readonly LedgerEntry[];
let notes: readonly string[];
beforeAll(async () => {
  const swarm = await createTestSwarm();
  const { ledger } = createTestLedger(swarm);
  const story = createStory(swarm);
  const { heads, stored } = testHeads(ledger, testWitnesses(swarm.clock));
  for (const count of [3, 2, 4]) {
    for (let index = 0; index < count; index += 1) {
      await ledger.submit(submission(story.read('a'), 'a'));
    }
    await heads.advance();
  }
  entries = ledger.entries();
  notes = stored;
  expect(notes).toHaveLength(3);
});

let copy: LogCopy;
let faults: string[];
beforeEach(() => {
  faults = [];
  copy = createLogCopy({ policyAt: () => policy, onRewritten: (detail) => faults.push(detail) });
});

const changed = (at: number) =>
  entries.map((entry) => (entry.index === at ? { ...entry, at: entry.at + 1 } : entry));
function take(some: readonly LedgerEntry[], heads: readonly string[]): void {
  for (const note of heads) copy.head(note);
  for (const entry of some) copy.entry(entry);
  copy.settle();
}
async function* stored(some: readonly LedgerEntry[]) {
  for (const entry of some) yield encodeEntry(entry);
}

describe('a copy of the log', () => {
  test('has the tree and every head that leads to it, also one that was stored twice', () => {
    take(entries, [...notes, notes.at(-1) ?? '']);
    expect(faults).toEqual([]);
    expect(copy.checkpoints()).toEqual(notes);
    expect(copy.tree.size()).toBe(9);
    expect(copy.tree.inclusion(2, 5).length).toBeGreaterThan(0);
  });

  test('waits for entries that come after their head, and for nothing else', () => {
    for (const note of notes) copy.head(note);
    for (const entry of entries) copy.entry(entry);
    copy.settle();
    expect([faults, copy.checkpoints().length]).toEqual([[], 3]);
  });

  test.for([
    ['another entry in the place of one', () => take(changed(1), notes), 3],
    ['fewer entries than were signed for', () => take(entries.slice(0, 8), notes), 1],
    ['heads in another order', () => take(entries, [...notes.slice(1), ...notes.slice(0, 1)]), 1],
    ['something that is no head', () => take(entries, [...notes, 'x']), 1],
  ] as const)('tells that storage holds %s', ([, arrange, count]) => {
    arrange();
    expect(faults).toHaveLength(count);
  });

  test.for([
    ['no quorum has cosigned', logSigner],
    ['the log has not signed', noteSigner(ORIGIN, 'note', 'thief')],
  ] as const)('tells of a head that %s, and does not show it', ([, signer]) => {
    const tree = createMerkleTree(createMemoryHashStore());
    for (const entry of entries) tree.append(leafText(leafOf(entry)));
    const head = signCheckpoint({ origin: ORIGIN, size: 9, root: tree.root() }, signer);
    take(entries, [...notes.slice(0, 2), head]);
    expect(faults).toHaveLength(1);
    expect(copy.checkpoints()).toEqual(notes.slice(0, 2));
  });
});

describe('storage that is read again', () => {
  const all = { from: 0, count: Number.POSITIVE_INFINITY };
  test('holds what it held, also where an entry was stored twice, and more than was read', async () => {
    expect(await judgeStored(stored(entries), entries, all)).toBeUndefined();
    const twice = [...entries.slice(0, 4), ...entries.slice(3)];
    expect(await judgeStored(stored(twice), entries, all)).toBeUndefined();
    expect(await judgeStored(stored(entries), entries.slice(0, 5), all)).toBeUndefined();
    const some = { from: 2, count: 3 };
    // As the stream gives it: a message for each number, one of which was a repetition.
    expect(await judgeStored(stored(entries.slice(1)), entries, some)).toBeUndefined();
  });

  test.for([
    ['fewer entries', () => entries.slice(0, 7), 'storage holds 7 entries, and held 9 before'],
    ['another entry', () => changed(8), 'storage holds another entry 8 than it held before'],
    [
      'no entry in the place of one',
      () => entries.toSpliced(4, 1),
      'storage holds another entry 4 than it held before',
    ],
    [
      'a payload that the tree does not cover, and the record does',
      () =>
        entries.map((entry) =>
          entry.index === 2 ? { ...entry, payload: Buffer.from('b') } : entry,
        ) as LedgerEntry[],
      'storage holds another entry 2 than it held before',
    ],
  ] as const)('is found to hold %s', async ([, change, fault]) => {
    expect(await judgeStored(stored(change()), entries, all)).toBe(fault);
  });
});
