import { beforeAll, expect, test } from 'vitest';
import { encodeBase64 } from '#custody/base64url.ts';
import { leafOf, leafText } from '#custody/ledger/leaf.ts';
import { type RecordedProof, recordedProof, verifyRecorded } from '#custody/ledger/recorded.ts';
import { addCosignature, cosign, signCheckpoint } from '#custody/log/checkpoint.ts';
import type { NoteSigner } from '#custody/log/keys.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import { parseNote } from '#custody/log/note.ts';
import type { RecordId } from '#custody/record.ts';
import { logSigner, noteSigner, ORIGIN, witnessSigners } from '../log/support.ts';
import { createTestSwarm } from '../support.ts';
import { createStory, createTestLedger, submission } from './support.ts';

const TIME = 1_800_000_000;
const policy = {
  origin: ORIGIN,
  log: [logSigner.verifier],
  witnesses: witnessSigners.map(({ verifier }) => verifier),
  quorum: 2,
};

let leaves: readonly string[];
let ids: readonly RecordId[];
beforeAll(async () => {
  const swarm = await createTestSwarm();
  const { ledger } = createTestLedger(swarm);
  const story = createStory(swarm);
  const records = ['a', 'b', 'c', 'd', 'e'].map((payload) => story.read(payload));
  for (const [index, record] of records.entries()) {
    await ledger.submit(submission(record, 'abcde'[index]));
  }
  leaves = ledger.list().map((entry) => leafText(leafOf(entry)));
  ids = records.map(({ id }) => id);
});

function witnessed(
  size = leaves.length,
  more: {
    readonly log?: NoteSigner;
    readonly by?: readonly NoteSigner[];
    readonly times?: readonly number[];
    readonly entries?: readonly string[];
  } = {},
) {
  const tree = createMerkleTree(createMemoryHashStore());
  for (const leaf of more.entries ?? leaves) tree.append(leaf);
  const bare = signCheckpoint(
    { origin: ORIGIN, size, root: tree.root(size) },
    more.log ?? logSigner,
  );
  const parsed = parseNote(bare);
  if (!parsed.ok) throw new Error(parsed.detail);
  const { text } = parsed.value;
  const note = (more.by ?? witnessSigners.slice(0, 2)).reduce(
    (given, signer, index) =>
      addCosignature(given, cosign(text, signer, more.times?.[index] ?? TIME)),
    bare,
  );
  return { tree, note };
}

function proofOf(index: number, head = witnessed(), size = leaves.length): RecordedProof {
  const { tree, note } = head;
  return recordedProof({
    index,
    leaf: leaves[index] ?? '',
    path: tree.inclusion(index, size),
    checkpoint: note,
  });
}

const judge = (answer: unknown, index = 2, now = TIME * 1000 + 3000) =>
  verifyRecorded(answer, { id: ids[index] as RecordId, policy, now, maxAgeMs: 10_000 });

test('a record in a tree that log and witnesses stand behind is recorded, at any place of any size', () => {
  for (let size = 1; size <= leaves.length; size++) {
    const head = witnessed(size);
    for (let index = 0; index < size; index++) {
      const answer = JSON.parse(JSON.stringify(proofOf(index, head, size)));
      expect(judge(answer, index)).toEqual({ ok: true, value: { index, size, time: TIME } });
    }
  }
});

test('an answer about another record, or at another index, is not about this one', () => {
  expect(judge(proofOf(1))).toMatchObject({ code: 'LEDGER_PROOF_INVALID' });
  expect(judge({ ...proofOf(2), index: 3 })).toMatchObject({ code: 'LEDGER_PROOF_INVALID' });
  const entry = leaves[2]?.replace('"index":2', '"index":3') ?? '';
  expect(judge({ ...proofOf(2), index: 3, entry })).toMatchObject({ code: 'LEDGER_PROOF_INVALID' });
});

test('what the ledger changed in the entry, or left out of the path, leads to no witnessed tree', () => {
  const good = proofOf(2);
  const later = leaves[2]?.replace(/"at":(\d+)/, '"at":1') ?? '';
  const [first = '', ...rest] = good.path;
  for (const answer of [
    { ...good, entry: later },
    { ...good, path: rest },
    { ...good, path: [...good.path, first] },
    { ...good, path: [encodeBase64(new Uint8Array(32)), ...rest] },
    { ...good, entry: ` ${good.entry}` },
    // The path of a tree that was witnessed, to the head of another.
    {
      ...proofOf(2, witnessed(5, { entries: ['x', ...leaves.slice(1)] })),
      checkpoint: good.checkpoint,
    },
  ]) {
    expect(judge(answer)).toMatchObject({ code: 'LEDGER_PROOF_INVALID' });
  }
});

test('a tree that only the log, or a thief of its witnesses’ names, stands behind shows nothing', () => {
  const thief = noteSigner(ORIGIN, 'note', 'thief');
  const liars = ['w1', 'w2'].map((name) => noteSigner(`city.example/${name}`, 'cosignature', 'x'));
  const [w1] = witnessSigners as [NoteSigner];
  for (const [head, code] of [
    [witnessed(5, { log: thief }), 'NOTE_UNSIGNED'],
    [witnessed(5, { by: [] }), 'CHECKPOINT_QUORUM_MISSING'],
    [witnessed(5, { by: [w1] }), 'CHECKPOINT_QUORUM_MISSING'],
    [witnessed(5, { by: [w1, w1] }), 'CHECKPOINT_QUORUM_MISSING'],
    [witnessed(5, { by: liars }), 'CHECKPOINT_QUORUM_MISSING'],
  ] as const) {
    expect(judge(proofOf(2, head))).toMatchObject({ code });
  }
});

test('a tree witnessed too long ago shows nothing of now, whatever one witness says later', () => {
  const answer = proofOf(2);
  expect(judge(answer, 2, TIME * 1000 + 10_000)).toMatchObject({ ok: true });
  expect(judge(answer, 2, TIME * 1000 + 10_001)).toMatchObject({ code: 'LEDGER_PROOF_STALE' });
  // The second smallest time of three: one witness whose clock runs ahead makes nothing younger.
  const ahead = witnessed(5, { by: witnessSigners, times: [TIME, TIME, TIME + 3600] });
  expect(judge(proofOf(2, ahead), 2, TIME * 1000 + 20_000)).toMatchObject({
    code: 'LEDGER_PROOF_STALE',
  });
});

test.for([
  undefined,
  null,
  1,
  'x',
  [],
  {},
  { index: null },
  { index: 2, entry: '{}', path: [], checkpoint: '' },
  { index: 2, entry: 'x', path: 'x', checkpoint: '' },
  { index: 2, entry: 'x', path: [1], checkpoint: '' },
  { index: 2, entry: 'x', path: Array(100).fill('AA=='), checkpoint: '' },
  { index: -1, entry: 'x', path: [], checkpoint: '' },
  { index: 1.5, entry: 'x', path: [], checkpoint: 'x' },
])('garbage %j is an answer that shows nothing', (answer) => {
  expect(judge(answer)).toMatchObject({ code: 'LEDGER_PROOF_INVALID' });
});
