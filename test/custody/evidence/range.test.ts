import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Trust } from '#custody/evidence/trust.ts';
import { verifyEvidence } from '#custody/evidence/verify.ts';
import { signStatement } from '#custody/log/statement.ts';
import type { SignedRecord } from '#custody/record.ts';
import { createStory } from '../ledger/support.ts';
import { noteSigner } from '../log/support.ts';
import { createTestSwarm, type TestSwarm, testClock } from '../support.ts';
import { bytesOf, codes, createEvidenceLedger, type EvidenceLedger, trustOf } from './support.ts';

const attester = noteSigner('city.example/attester');
let swarm: TestSwarm;
let trust: Trust;
let made: EvidenceLedger;
let after: SignedRecord;
const START = Math.floor(Date.now() / 1000) * 1000;
const issuance = { keys: [attester.verifier], required: 1, bootstrap: [] };

/** Issued, a record, witnessed; revoked, and a record all the same. */
beforeAll(async () => {
  swarm = await createTestSwarm({ clock: testClock(START) });
  trust = trustOf(swarm, { issuance });
  made = createEvidenceLedger(swarm);
  const story = createStory(swarm);
  const { id, thumbprint, serial } = swarm.svid('sensor');
  const kind = 'issuance' as const;
  made.state(
    signStatement({ kind, id, thumbprint, serial, nbf: 1, exp: 2, selectors: ['x:y'] }, [attester]),
  );
  await made.submit(story.read('before'), 'before');
  made.witness();
  made.state(signStatement({ kind: 'revocation', thumbprint, reason: 'stolen' }, [attester]));
  after = story.read('after');
  await made.submit(after, 'after');
  made.witness();
});
beforeEach(() => swarm.clock.advance(START - swarm.clock()));

const judge = (text: string, by: Trust | 'nobody' = trust) =>
  verifyEvidence(bytesOf(text), by === 'nobody' ? undefined : by);
const told = (text: string, by: Trust | 'nobody' = trust) =>
  judge(text, by).faults.map(({ code, detail }) => `${code}: ${detail}`);
const whole = () => made.lines({ range: { from: 0, to: 4 } });
/** Without the entries of these places. */
const without = (text: string, ...places: readonly number[]) =>
  text
    .split('\n')
    .filter((line) => !places.some((place) => line.includes(`"index":${place},`)))
    .join('\n');
const claiming = (text: string, range: string) => text.replace('"range":{"from":0,"to":4}', range);

describe('an entry that somebody takes out of a range', () => {
  it('is missed: what it said is found in the whole, and where it is not there a gap', () => {
    expect(judge(whole()).faults).toMatchObject([{ code: 'RECORD_SVID_REVOKED', id: after.id }]);
    expect(told(without(whole(), 2))).toEqual(['EVIDENCE_GAP: entry 2 is missing']);
  });

  it('is not hidden by deleting the range: a file without one and without an action is none', () => {
    const bare = without(whole(), 2).replace('"range":{"from":0,"to":4},', '');
    expect(bare.length).toBeLessThan(without(whole(), 2).length);
    for (const by of [trust, 'nobody'] as const) {
      expect(judge(bare, by).overall).toBe('malformed');
      expect(codes(judge(bare, by))).toContain('EVIDENCE_MALFORMED');
    }
    expect(codes(judge(bare))).toEqual(['EVIDENCE_MALFORMED']);
  });

  it.each([
    ['the last', [3], 3, 'entry 3 is missing'],
    ['the last two', [2, 3], 2, 'entries 2 to 3 are missing'],
  ] as const)('is not hidden by a shorter range: %s', (_name, places, to, which) => {
    const short = claiming(without(whole(), ...places), `"range":{"from":0,"to":${to}}`);
    const heads = short.split('\n').filter((line) => line.startsWith('{"checkpoint"'));
    expect(heads).toHaveLength(2);
    const verdict = judge(short);
    expect(verdict.overall).toBe('unverifiable');
    const gap = `EVIDENCE_GAP: ${which}: the range ends before its checkpoint of 4 entries`;
    expect(told(short)).toEqual([gap]);
    expect(verdict.faults).toMatchObject([{ index: to }]);
  });

  it('at the end is missed without a trust file too, where an entry shows that head', () => {
    const short = claiming(without(whole(), 3), '"range":{"from":0,"to":3}');
    expect(told(short, 'nobody')).toContainEqual(
      'EVIDENCE_GAP: entry 3 is missing: the range ends before its checkpoint of 4 entries',
    );
    expect(codes(judge(whole(), 'nobody'))).not.toContain('EVIDENCE_GAP');
  });

  it('may stand behind the range that a reader got: up to that head all of it is there', () => {
    const entries = made.entries.slice(0, 2);
    const verdict = judge(made.lines({ range: { from: 0, to: 2 } }, { entries }));
    expect(verdict).toMatchObject({
      overall: 'proven',
      entries: { count: 2, from: 0, to: 2 },
      witnessed: { size: 2 },
    });
  });

  it('at the beginning is told: the verdict says from where on it holds', () => {
    const entries = made.entries.slice(1);
    const verdict = judge(made.lines({ range: { from: 1, to: 4 } }, { entries }), trustOf(swarm));
    expect(verdict).toMatchObject({ overall: 'proven', entries: { count: 3, from: 1, to: 4 } });
    // Who issued the certificate was stated before.
    const late = judge(made.lines({ range: { from: 1, to: 4 } }, { entries }));
    expect(codes(late)).toContain('EVIDENCE_ISSUANCE_MISSING');
  });
});
