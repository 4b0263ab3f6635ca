import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createLogHeads,
  type LogHeadsOptions,
  type RememberingWitness,
} from '#custody/ledger/head.ts';
import { leafOf, leafText } from '#custody/ledger/leaf.ts';
import type { Ledger } from '#custody/ledger/ledger.ts';
import { openCheckpoint } from '#custody/log/checkpoint.ts';
import { leafHash } from '#custody/log/hash.ts';
import { verifyInclusion } from '#custody/log/proof.ts';
import { accept, refuse } from '#identity/outcome.ts';
import { mth } from '../log/naive.ts';
import { logSigner, noteSigner, ORIGIN, testLog, witnessSigners } from '../log/support.ts';
import { createTestSwarm, type TestSwarm } from '../support.ts';
import { createStory, createTestLedger, submission } from './support.ts';
import { policy, type TestWitness, testWitnesses } from './witnesses.ts';

let swarm: TestSwarm;
let ledger: Ledger;
let witnesses: readonly TestWitness[];
beforeAll(async () => {
  swarm = await createTestSwarm();
});
beforeEach(() => {
  ledger = createTestLedger(swarm).ledger;
  witnesses = testWitnesses(swarm.clock);
});

async function grow(count: number): Promise<void> {
  const story = createStory(swarm);
  for (let index = 0; index < count; index += 1) {
    expect(await ledger.submit(submission(story.read('a'), 'a'))).toMatchObject({ ok: true });
  }
}

function headsOf(more: Partial<LogHeadsOptions> = {}) {
  const stored: string[] = [];
  const heads = createLogHeads({
    entries: ledger.entries(),
    durable: ledger.durable,
    signer: logSigner,
    logKeys: policy.log,
    policy,
    witnesses: witnesses.map(({ peer }) => peer),
    store: async (note) => stored.push(note) > 0,
    ...more,
  });
  return { heads, stored };
}

const cosignedSoFar = () => witnesses.map(({ cosigned }) => cosigned);
const leaves = () => ledger.entries().map((entry) => leafText(leafOf(entry)));

describe('the ledger’s heads', () => {
  test('are over every durable entry, cosigned by a quorum and stored, each size once', async () => {
    const { heads, stored } = headsOf();
    for (const more of [3, 0, 4, 1]) {
      await grow(more);
      const head = await heads.advance();
      expect(head).toMatchObject({ ok: true, value: { size: ledger.size() } });
      if (!head.ok) return;
      const opened = openCheckpoint(head.value.note, policy);
      expect(opened.ok && opened.value.root).toEqual(
        mth(leaves().map((leaf) => Buffer.from(leaf))),
      );
    }
    expect(stored).toHaveLength(3);
    expect(heads.behind()).toBe(0);
  });

  test('prove each of their entries, and none that came after', async () => {
    const { heads } = headsOf();
    await grow(5);
    expect(heads.proof(0)).toBeUndefined();
    await heads.advance();
    await grow(1);
    for (let index = 0; index < 5; index += 1) {
      const proof = heads.proof(index);
      if (proof === undefined) throw new Error('no proof');
      const opened = openCheckpoint(proof.checkpoint, policy);
      if (!opened.ok) throw new Error(opened.detail);
      const { size, root } = opened.value;
      const claim = { leaf: leafHash(proof.leaf), index, size, path: proof.path };
      expect(verifyInclusion(claim, root)).toBe(true);
    }
    expect(heads.proof(5)).toBeUndefined();
  });

  test('hold with two of three witnesses, and not with one; the others are named', async () => {
    const { heads, stored } = headsOf();
    const [first, second] = witnesses;
    if (first === undefined || second === undefined) return;
    await grow(2);
    first.silent = true;
    expect(await heads.advance()).toMatchObject({ ok: true });
    second.silent = true;
    await grow(1);
    expect(await heads.advance()).toMatchObject({ code: 'LEDGER_UNWITNESSED' });
    expect(heads.doubts().map(({ name }) => name)).toEqual(['city.example/w1', 'city.example/w2']);
    expect(heads.newest()?.size).toBe(2);
    expect(stored).toHaveLength(1);
    // Each catches up from where it was.
    first.silent = second.silent = false;
    expect(await heads.advance()).toMatchObject({ ok: true, value: { size: 3 } });
  });

  test('are not spoilt by a witness that answers with anything', async () => {
    const { heads } = headsOf({
      witnesses: [
        ...witnesses.slice(1).map(({ peer }) => peer),
        {
          name: 'city.example/w1',
          add: async () => accept('— city.example/w1 AAAAAAAA\n'),
          last: async () => ({ note: 'anything' }),
        },
      ],
    });
    await grow(1);
    expect(await heads.advance()).toMatchObject({ ok: true });
  });

  test('wait for no witness that hangs, and ask it nothing more meanwhile', async () => {
    let asked = 0;
    const hangs: RememberingWitness = {
      name: 'city.example/w1',
      add: () => {
        asked += 1;
        return new Promise(() => {});
      },
      last: async () => undefined,
    };
    const { heads } = headsOf({
      witnesses: [hangs, ...witnesses.slice(1).map(({ peer }) => peer)],
    });
    for (let round = 0; round < 3; round += 1) {
      await grow(1);
      expect(await heads.advance()).toMatchObject({ ok: true });
    }
    expect(asked).toBe(1);
  });

  test('asked for at once come one after the other, and the last covers all', async () => {
    const { heads } = headsOf();
    await grow(1);
    const first = heads.advance();
    await grow(1);
    const [, second, third] = await Promise.all([first, heads.advance(), heads.advance()]);
    expect(second).toMatchObject({ ok: true, value: { size: 2 } });
    expect(third).toBe(second);
  });

  test('that cannot be stored are none', async () => {
    const { heads } = headsOf({ store: async () => false });
    await grow(1);
    expect(await heads.advance()).toMatchObject({ code: 'LEDGER_STORAGE_FAILED' });
    expect(heads.newest()).toBeUndefined();
  });
});

describe('after a restart', () => {
  const restored = async (change: (ledger: Ledger) => readonly unknown[]) => {
    const before = headsOf();
    await grow(3);
    await before.heads.advance();
    await grow(2);
    await before.heads.advance();
    const entries = change(ledger) as ReturnType<Ledger['entries']>;
    const { heads } = headsOf({ entries, durable: () => entries.length });
    return { heads, notes: before.stored };
  };

  test('the same entries continue the log', async () => {
    const { heads, notes } = await restored((same) => same.entries());
    expect(heads.restore([...notes, notes.at(-1) ?? ''])).toMatchObject({ ok: true });
    expect(await heads.advance()).toMatchObject({ ok: true, value: { size: 5 } });
  });

  test('fewer entries than were signed for are refused', async () => {
    const { heads, notes } = await restored((full) => full.entries().slice(0, 4));
    expect(heads.restore(notes)).toMatchObject({ code: 'LEDGER_TRUNCATED' });
  });

  test('another entry in the place of one is refused', async () => {
    const { heads, notes } = await restored((full) =>
      full.entries().map((entry) => (entry.index === 1 ? { ...entry, at: entry.at + 1 } : entry)),
    );
    expect(heads.restore(notes)).toMatchObject({ code: 'LEDGER_REWRITTEN' });
  });

  test('checkpoints of another key are refused', async () => {
    const { heads, notes } = await restored((same) => same.entries());
    const [signer] = witnessSigners;
    if (signer === undefined) return;
    const other = headsOf({ logKeys: [] }).heads;
    expect(other.restore(notes)).toMatchObject({ code: 'LEDGER_REWRITTEN' });
    expect(heads.restore(notes)).toMatchObject({ ok: true });
  });

  test('where entries and checkpoints are cut off alike, a witness remembers more, and nothing is signed', async () => {
    const { heads, notes } = await restored((full) => full.entries().slice(0, 3));
    expect(heads.restore(notes.slice(0, 1))).toMatchObject({ ok: true });
    const before = cosignedSoFar();
    expect(await heads.advance()).toMatchObject({ code: 'LEDGER_TRUNCATED' });
    expect(await heads.advance()).toMatchObject({ code: 'LEDGER_TRUNCATED' });
    expect(cosignedSoFar()).toEqual(before);
  });

  test('where entries and checkpoints are written anew alike, a witness remembers the others', async () => {
    const { heads } = await restored((full) =>
      full.entries().map((entry) => (entry.index === 2 ? { ...entry, at: entry.at + 1 } : entry)),
    );
    expect(heads.restore([])).toMatchObject({ ok: true });
    expect(await heads.compare()).toMatchObject({ code: 'LEDGER_REWRITTEN' });
  });

  test('nothing is signed before so many witnesses were heard that one of any quorum is among them', async () => {
    const { heads, notes } = await restored((full) => full.entries().slice(0, 3));
    heads.restore(notes.slice(0, 1));
    const [first, second] = witnesses;
    if (first === undefined || second === undefined) return;
    first.silent = second.silent = true;
    const before = cosignedSoFar();
    expect(await heads.advance()).toMatchObject({ code: 'LEDGER_TRUNCATED' });
    const honest = headsOf().heads;
    expect(await honest.advance()).toMatchObject({ code: 'LEDGER_UNWITNESSED' });
    expect(cosignedSoFar()).toEqual(before);
    first.silent = false;
    expect(await honest.advance()).toMatchObject({ ok: true });
  });

  test('a witness that claims more than the log ever signed stops nobody', async () => {
    const { heads, notes } = await restored((same) => same.entries());
    const [first, ...others] = witnesses;
    if (first === undefined) return;
    const thief = testLog(['a', 'b', 'c', 'd', 'e', 'f'], noteSigner(ORIGIN, 'note', 'thief'));
    const liar: RememberingWitness = {
      name: first.peer.name,
      add: async () => ({ ...refuse('WITNESS_SIZE_CONFLICT', 'more'), size: 1000 }),
      last: async () => ({ note: thief.head() }),
    };
    const lied = headsOf({ witnesses: [liar, ...others.map(({ peer }) => peer)] }).heads;
    expect(lied.restore(notes)).toMatchObject({ ok: true });
    for (let round = 0; round < 3; round += 1) {
      await grow(1);
      expect(await lied.advance()).toMatchObject({ ok: true });
    }
    expect(await heads.compare()).toMatchObject({ ok: true });
  });

  test('another process with the log’s key that was cosigned meanwhile ends this one', async () => {
    const { heads, notes } = await restored((same) => same.entries().slice());
    heads.restore(notes);
    expect(await heads.advance()).toMatchObject({ ok: true, value: { size: 5 } });
    await grow(1);
    expect(await headsOf().heads.advance()).toMatchObject({ ok: true, value: { size: 6 } });
    // It has not got the sixth entry: the witnesses are ahead of it, and show why.
    expect(await heads.advance()).toMatchObject({ code: 'LEDGER_UNWITNESSED' });
    await expect.poll(() => heads.advance()).toMatchObject({ code: 'LEDGER_TRUNCATED' });
  });
});
