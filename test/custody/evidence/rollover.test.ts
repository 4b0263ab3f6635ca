import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { formatTrust, parseTrust, type Trust } from '#custody/evidence/trust.ts';
import { verifyEvidence } from '#custody/evidence/verify.ts';
import type { NoteSigner } from '#custody/log/keys.ts';
import { openRollover, type Rollover, signRollover } from '#custody/log/rollover.ts';
import { logSigner, noteSigner, witnessSigners } from '../log/support.ts';
import { createTestSwarm, type TestSwarm, testClock } from '../support.ts';
import { bytesOf, codes, createCase, policy, trustOf } from './support.ts';

let swarm: TestSwarm;
let trust: Trust;
const START = Math.floor(Date.now() / 1000) * 1000;
beforeAll(async () => {
  swarm = await createTestSwarm({ clock: testClock(START) });
  trust = trustOf(swarm);
});
beforeEach(() => swarm.clock.advance(START - swarm.clock()));
const judge = (text: string, by = trust) => verifyEvidence(bytesOf(text), by);

const newLog = noteSigner(policy.origin, 'note', 'second');
const newWitness = noteSigner('city.example/w4', 'cosignature');
const [w1, w2, w3] = witnessSigners as [NoteSigner, NoteSigner, NoteSigner];
const next: Rollover = {
  from: 4,
  policy: {
    ...policy,
    log: [newLog.verifier],
    witnesses: [w2.verifier, w3.verifier, newWitness.verifier],
  },
};
const all = [logSigner, w1, w2, newLog, newWitness];
const note = signRollover(next, all, START / 1000);

describe('a change of keys', () => {
  const opened = (signers: readonly NoteSigner[], change = next) => {
    const result = openRollover(signRollover(change, signers, START / 1000), policy);
    return result.ok ? 'ok' : result.code;
  };

  it('is taken when the old log, the old quorum and every new key agree', () => {
    expect(opened(all)).toBe('ok');
    for (const missing of all) {
      expect(opened(all.filter((one) => one !== missing))).toBe('ROLLOVER_REFUSED');
    }
    const other = { ...next, policy: { ...next.policy, origin: 'city.example/x' } };
    expect(opened(all, other)).toBe('ROLLOVER_REFUSED');
  });

  it('is refused when altered or malformed', () => {
    const cases: readonly (readonly [string, string])[] = [
      [note.replace('from 4', 'from 2'), 'NOTE_SIGNATURE_INVALID'],
      [note.replace('quorum 2', 'quorum 1'), 'NOTE_SIGNATURE_INVALID'],
      [note.replace('from 4', 'from 04'), 'ROLLOVER_MALFORMED'],
      [note.replace('quorum 2', 'quorum 4'), 'ROLLOVER_MALFORMED'],
      [note.replace('/v1', '/v2'), 'ROLLOVER_MALFORMED'],
      [note.replace('\nwitness ', '\nlog '), 'ROLLOVER_MALFORMED'],
      ['x', 'NOTE_MALFORMED'],
    ];
    for (const [altered, code] of cases)
      expect(openRollover(altered, policy)).toMatchObject({ code });
  });
});

/** Three records, the change, a fourth record; a head under the former keys and one by `then`. */
async function rolled(
  then: { log: NoteSigner; by: readonly NoteSigner[] },
  change: string | null = note,
) {
  const made = await createCase(swarm);
  made.witness();
  if (change !== null) made.state(change);
  await made.submit(made.story.read('after'), 'after');
  made.witness(then);
  const range = { from: 0, to: made.tree.size() };
  return (rollovers: readonly string[]) => made.file({ range }, { rollovers });
}
const ours = { log: newLog, by: [w3, newWitness] };
const retired = { log: logSigner, by: [w1, w2] };

describe('evidence over a change of keys', () => {
  it('is verified by the first pins before and after; each key only where it was in force', async () => {
    const file = await rolled(ours);
    expect(judge(file([note]))).toMatchObject({ overall: 'proven', counts: { genuine: 4 } });
    const without = judge(file([]));
    expect(without.overall).toBe('forged');
    expect(codes(without)).toContain('NOTE_UNSIGNED');
    expect(codes(judge(file([note, note])))).toContain('EVIDENCE_ORDER');
    // The keys that were given up sign no more, though witnesses go along.
    const late = judge((await rolled(retired))([note]));
    expect(late.overall).toBe('forged');
    expect(codes(late)).toContain('EVIDENCE_KEYS_RETIRED');
  });

  it('by keys that were given up is believed by nobody who has pinned their end, note or no note', async () => {
    const pinned = { ...trust, log: { ...trust.log, changes: [next] } };
    const lie = await rolled(retired, null);
    // What an old trust file believes, because nothing that it knows has ended.
    expect(judge(lie([])).overall).toBe('proven');
    for (const rollovers of [[], [note]]) {
      const verdict = judge(lie(rollovers), pinned);
      expect(verdict.overall).toBe('forged');
      expect(codes(verdict)).toContain('EVIDENCE_KEYS_RETIRED');
    }
    const honest = await rolled(ours);
    for (const rollovers of [[], [note]]) {
      expect(judge(honest(rollovers), pinned).overall).toBe('proven');
    }
    // Written and read again it says the same.
    const read = parseTrust(formatTrust(pinned));
    expect(read.ok && judge(honest([note]), read.value).overall).toBe('proven');
  });

  it('goes by no other change than the one that is pinned, and by those that come after', async () => {
    const pinned = { ...trust, log: { ...trust.log, changes: [next] } };
    const thief = noteSigner('city.example/w5', 'cosignature');
    const witnesses = [w1.verifier, w2.verifier, thief.verifier];
    const his = { from: 4, policy: { ...policy, witnesses } };
    const other = signRollover(his, [logSigner, w1, w2, thief], START / 1000);
    const lie = await rolled({ log: logSigner, by: [w2, thief] }, other);
    expect(judge(lie([other])).overall).toBe('proven');
    expect(codes(judge(lie([other]), pinned))).toContain('ROLLOVER_REFUSED');

    const third = noteSigner(policy.origin, 'note', 'third');
    const change = { from: 5, policy: { ...next.policy, log: [third.verifier] } };
    const later = signRollover(change, [newLog, w2, newWitness, third], START / 1000);
    const made = await createCase(swarm);
    made.witness();
    made.state(note);
    made.witness(ours);
    made.state(later);
    made.witness({ ...ours, log: third });
    const text = made.file({ range: { from: 0, to: 5 } }, { rollovers: [note, later] });
    for (const by of [trust, pinned]) expect(judge(text, by).overall).toBe('proven');
  });

  it('in a range goes by a change only where the ledger holds it', async () => {
    const hidden = await rolled(ours, null);
    const verdict = judge(hidden([note]));
    expect(verdict.overall).toBe('unverifiable');
    expect(codes(verdict)).toEqual(['EVIDENCE_ROLLOVER_UNLOGGED']);
    expect(judge((await rolled(ours))([note])).overall).toBe('proven');
    // A range that begins after the change cannot show it.
    const made = await createCase(swarm);
    made.state(note);
    await made.submit(made.story.read('after'), 'after');
    made.witness(ours);
    const entries = made.entries.slice(4);
    const text = made.file({ range: { from: 4, to: 5 } }, { rollovers: [note], entries });
    expect(judge(text).overall).toBe('proven');
  });
});
