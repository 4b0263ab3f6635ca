import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type EvidencePart, formatEvidence } from '#custody/evidence/format.ts';
import type { Trust } from '#custody/evidence/trust.ts';
import { verifyEvidence } from '#custody/evidence/verify.ts';
import { bundleSet, createTestCa } from '#test/support/test-ca.ts';
import { createStory } from '../ledger/support.ts';
import { noteSigner, witnessSigners } from '../log/support.ts';
import { createTestSwarm, IDS, type TestSwarm, testClock } from '../support.ts';
import {
  bytesOf,
  codes,
  createCase,
  createEvidenceLedger,
  hops,
  policy,
  trustOf,
} from './support.ts';

let swarm: TestSwarm;
let trust: Trust;
const START = Math.floor(Date.now() / 1000) * 1000;
beforeAll(async () => {
  swarm = await createTestSwarm({ clock: testClock(START) });
  trust = trustOf(swarm);
});
beforeEach(() => swarm.clock.advance(START - swarm.clock()));

const judge = (text: string, by = trust) => verifyEvidence(bytesOf(text), by);

describe('what witnesses, keys and time have to do with it', () => {
  it('is unverifiable without a quorum, or without a checkpoint', async () => {
    const { file, act, witness, checkpoints } = await createCase(swarm);
    expect(codes(judge(file({ action: act.id })))).toEqual(
      Array(3).fill('EVIDENCE_CHECKPOINT_MISSING'),
    );
    witness({ by: witnessSigners.slice(0, 1) });
    const one = judge(file({ action: act.id }));
    expect(one.overall).toBe('unverifiable');
    expect(new Set(codes(one))).toEqual(new Set(['CHECKPOINT_QUORUM_MISSING']));
    checkpoints.pop();
    witness({ by: witnessSigners });
    expect(judge(file({ action: act.id })).overall).toBe('proven');
  });

  it('is forged where another log key signed the checkpoint', async () => {
    const { file, act, witness } = await createCase(swarm);
    witness({ log: noteSigner(policy.origin, 'note', 'thief') });
    const verdict = judge(file({ action: act.id }));
    expect(verdict.overall).toBe('forged');
    expect(new Set(codes(verdict))).toEqual(new Set(['NOTE_UNSIGNED']));
  });

  it('is of the pinned ledger, not of another one', async () => {
    const { file, act, witness } = await createCase(swarm);
    witness();
    const other = { ...trust, log: { ...policy, origin: 'city.example/other' } };
    const verdict = judge(file({ action: act.id }), other);
    expect(verdict.overall).toBe('forged');
    expect(new Set(codes(verdict))).toEqual(
      new Set(['EVIDENCE_ORIGIN_MISMATCH', 'CHECKPOINT_ORIGIN_MISMATCH']),
    );
  });

  it('is forged under another authority, unverifiable without one', async () => {
    const { file, act, witness } = await createCase(swarm);
    witness();
    const text = file({ action: act.id });
    const imposter = await createTestSwarm({ clock: swarm.clock });
    const [root] = trustOf(imposter).roots;
    if (root === undefined) throw new Error('no root');
    expect(hops(judge(text, { ...trust, roots: [root] }))?.[0]).toBe(
      'forged RECORD_CHAIN_UNVERIFIED',
    );
    const other = await createTestCa('other.example');
    const [authority] = [...bundleSet(other).values()].flatMap(({ authorities }) => authorities);
    const roots = [
      { trustDomain: 'other.example', certificate: authority?.raw ?? root.certificate },
    ];
    expect(hops(judge(text, { ...trust, roots }))?.[0]).toBe(
      'unverifiable RECORD_CHAIN_UNVERIFIED',
    );
  });

  it('believes a root only while it was in force', async () => {
    const { file, act, witness } = await createCase(swarm);
    witness();
    const text = file({ action: act.id });
    const now = START / 1000;
    const [root] = trust.roots;
    if (root === undefined) throw new Error('no root');
    const within = (from?: number, until?: number) => {
      const bounded = { ...root, ...(from && { from }), ...(until && { until }) };
      return judge(text, { ...trust, roots: [bounded] }).overall;
    };
    expect(within(now - 5, now + 5)).toBe('proven');
    expect(within(now + 60)).toBe('unverifiable');
    expect(within(undefined, now - 60)).toBe('unverifiable');
    // Given up a minute before the witnesses saw the records: its key may be a thief's.
    const late = await createCase(swarm);
    late.witness({ time: now + 80 });
    const verdict = judge(late.file({ action: late.act.id }), {
      ...trust,
      roots: [{ ...root, until: now + 20 }],
    });
    expect(verdict.overall).toBe('unverifiable');
  });

  it('is not verifiable when first witnessed more than 10 s after the SVID ended', async () => {
    const end = swarm.svid('sensor').notAfter.getTime() / 1000;
    for (const [time, expected] of [
      [end + 10, 'proven'],
      [end + 11, 'unverifiable'],
    ] as const) {
      const made = createEvidenceLedger(swarm);
      const read = createStory(swarm).read();
      await made.submit(read, 'reading');
      made.witness({ time: Math.floor(time) });
      expect(judge(made.file({ action: read.id })).overall).toBe(expected);
    }
  });

  it('is forged when issued after it was witnessed; clocks may differ by 5 s', async () => {
    const made = createEvidenceLedger(swarm);
    const read = createStory(swarm).read();
    await made.submit(read, 'reading');
    made.witness({ time: START / 1000 - 5 });
    expect(judge(made.file({ action: read.id })).overall).toBe('proven');
    made.checkpoints.pop();
    made.witness({ time: START / 1000 - 7200 });
    expect(codes(judge(made.file({ action: read.id })))).toEqual(['RECORD_FROM_FUTURE']);
  });

  it('does not mind one witness whose clock is hours off', async () => {
    const { tree, file, act, witness, checkpoints } = await createCase(swarm);
    expect(tree.size()).toBe(3);
    witness({ by: witnessSigners.slice(0, 1), time: START / 1000 - 7200 });
    const [wrong = ''] = checkpoints.splice(0);
    witness({ by: witnessSigners.slice(1) });
    const right = checkpoints.pop() ?? '';
    checkpoints.push(right + wrong.slice(wrong.lastIndexOf('—')));
    const verdict = judge(file({ action: act.id }));
    expect(verdict).toMatchObject({ overall: 'proven', witnessed: { time: START / 1000 + 3 } });
  });

  it('asks that senders are members, where they are pinned', async () => {
    const { file, act, witness } = await createCase(swarm);
    witness();
    const text = file({ action: act.id });
    expect(judge(text, { ...trust, members: Object.values(IDS) }).overall).toBe('proven');
    const verdict = judge(text, { ...trust, members: [IDS.action, IDS.analyzer] });
    expect(hops(verdict)).toEqual(['genuine', 'genuine', 'unverifiable EVIDENCE_NOT_MEMBER']);
  });

  it('follows a ledger over several checkpoints, and names two histories', async () => {
    const made = createEvidenceLedger(swarm);
    const story = createStory(swarm);
    for (let count = 0; count < 7; count++) {
      await made.submit(story.read(`${count}`), `${count}`);
      if (count % 3 === 0) made.witness();
    }
    const range = { from: 0, to: 7 };
    expect(judge(made.lines({ range }))).toMatchObject({ overall: 'proven', faults: [] });

    const forked = createEvidenceLedger(swarm);
    for (let count = 0; count < 7; count++)
      await forked.submit(story.read(`x${count}`), `x${count}`);
    const middle = made.checkpoints[1];
    forked.witness();
    const [first, , last] = [made.checkpoints[0], middle, forked.checkpoints[0]];
    if (first === undefined || middle === undefined || last === undefined) return;
    const parts = made.parts({ range });
    const swapped = parts.map((part) =>
      part.kind === 'checkpoint' && part.checkpoint.note === made.checkpoints[2]
        ? { ...part, checkpoint: { ...part.checkpoint, note: last } }
        : part,
    );
    const verdict = judge(formatEvidence(swapped));
    expect(verdict.overall).toBe('forged');
    expect(codes(verdict)).toContain('CHECKPOINT_FORK');
  });

  it('names two heads of one size, both signed and cosigned: a log with two histories', async () => {
    const [made, other] = [await createCase(swarm), await createCase(swarm)];
    made.witness();
    other.witness();
    const [second] = other.checkpoints;
    if (second === undefined) throw new Error('no head');
    const range = { from: 0, to: 3 };
    // Each history by itself is proven: only beside the other one it is a lie.
    for (const one of [made, other]) expect(judge(one.lines({ range })).overall).toBe('proven');
    const parts = made
      .parts({ range })
      .flatMap((part): readonly EvidencePart[] =>
        part.kind === 'checkpoint'
          ? [part, { ...part, checkpoint: { note: second, consistency: [] } }]
          : [part],
      );
    const verdict = judge(formatEvidence(parts));
    expect(verdict.overall).toBe('forged');
    expect(verdict.faults).toMatchObject([
      { code: 'CHECKPOINT_FORK', detail: 'the log signed two trees of 3 entries' },
    ]);
    expect(verdict.counts.genuine).toBe(3);
  });
});
