import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Tampering, tamper } from '#custody/evidence/tamper.ts';
import { verifyChunks, verifyEvidence } from '#custody/evidence/verify.ts';
import { ORIGIN } from '../log/support.ts';
import { createTestSwarm, type TestSwarm, testClock } from '../support.ts';
import { bytesOf, codes, createCase, hops, trustOf } from './support.ts';

let swarm: TestSwarm;
let made: Awaited<ReturnType<typeof createCase>>;
let text: string;
beforeAll(async () => {
  swarm = await createTestSwarm({ clock: testClock(Math.floor(Date.now() / 1000) * 1000) });
  made = await createCase(swarm);
  made.witness();
  text = made.file({ action: made.act.id });
});

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const tampered = (how: Tampering): string => {
  const result = tamper(text, how, privateKey);
  if (!result.ok) throw new Error(result.detail);
  return result.value;
};

describe('evidence that is judged without a trust file', () => {
  it('is unverifiable at best, and says by whom it would have to be judged', () => {
    const verdict = verifyEvidence(bytesOf(text));
    expect(verdict.overall).toBe('unverifiable');
    expect(hops(verdict)).toEqual(Array(3).fill('unverifiable RECORD_CHAIN_UNVERIFIED'));
    expect(codes(verdict)).toEqual([
      'EVIDENCE_UNPINNED',
      ...Array(3).fill('RECORD_CHAIN_UNVERIFIED'),
    ]);
    expect(verdict.asks).toEqual({
      origin: ORIGIN,
      signers: [ORIGIN, 'city.example/w1', 'city.example/w2'],
      trustDomains: ['city.example'],
    });
    expect(verdict.witnessed).toBeUndefined();
    expect(verdict.ancestry?.hops.every(({ witnessed }) => witnessed === undefined)).toBe(true);
    // The honest twin.
    const judged = verifyEvidence(bytesOf(text), trustOf(swarm));
    expect(judged.overall).toBe('proven');
    expect(judged.asks).toBeUndefined();
  });

  it.each<[Tampering, string]>([
    ['edit', 'RECORD_PAYLOAD_MISMATCH'],
    ['reorder', 'EVIDENCE_NOT_IN_LEDGER'],
    ['backdate', 'RECORD_SIGNATURE_INVALID'],
    ['swap-key', 'RECORD_SIGNATURE_INVALID'],
    ['frame', 'RECORD_SIGNATURE_INVALID'],
    ['fork', 'EVIDENCE_NOT_IN_LEDGER'],
  ])('is forged where it contradicts itself: %s', async (how, code) => {
    const verdict = verifyEvidence(bytesOf(tampered(how)));
    expect(verdict.overall).toBe('forged');
    expect(codes(verdict)).toContain(code);
    expect(await verifyChunks([bytesOf(tampered(how))])).toEqual(verdict);
  });

  it.each<[Tampering, string]>([
    ['drop', 'EVIDENCE_RECORD_MISSING'],
    ['truncate', 'EVIDENCE_ACTION_MISSING'],
  ])('names what is missing: %s', (how, code) => {
    const verdict = verifyEvidence(bytesOf(tampered(how)));
    expect(verdict.overall).toBe('unverifiable');
    expect(codes(verdict)).toContain(code);
  });

  it('has two histories where two checkpoints contradict each other', async () => {
    const two = await createCase(swarm);
    two.witness();
    const [first = ''] = two.checkpoints;
    await two.submit(two.story.read('more'), 'more');
    two.witness();
    const file = two.file({ action: two.act.id }, { entries: [...two.entries] });
    expect(verifyEvidence(bytesOf(file)).overall).toBe('unverifiable');
    const root = first.split('\n')[2] ?? '';
    const other = Buffer.alloc(32, 7).toString('base64');
    expect(codes(verifyEvidence(bytesOf(file.replace(root, other))))).toContain('CHECKPOINT_FORK');
  });
});

describe('what is missing does not hide what is wrong', () => {
  it('under a quorum that is not reached, an entry outside of the tree is forged', async () => {
    const trust = trustOf(swarm);
    const strict = { ...trust, log: { ...trust.log, quorum: 3 } };
    expect(verifyEvidence(bytesOf(text), strict).overall).toBe('unverifiable');
    const verdict = verifyEvidence(bytesOf(tampered('reorder')), strict);
    expect(codes(verdict)).toContain('EVIDENCE_NOT_IN_LEDGER');
  });

  it('under roots of another domain, an altered payload is forged', () => {
    const trust = trustOf(swarm);
    const [root] = trust.roots;
    if (root === undefined) throw new Error('no root');
    const other = { ...trust, roots: [{ ...root, trustDomain: 'other.example' }] };
    expect(verifyEvidence(bytesOf(text), other).overall).toBe('unverifiable');
    const verdict = verifyEvidence(bytesOf(tampered('edit')), other);
    expect(codes(verdict)).toContain('RECORD_PAYLOAD_MISMATCH');
  });
});

describe('when each record was witnessed', () => {
  it('is told per hop: by the first checkpoint that covers it', async () => {
    const slow = await createCase(swarm);
    slow.witness();
    const first = Math.floor(swarm.clock() / 1000);
    swarm.clock.advance(3000);
    const next = slow.story.act([slow.finding.id], 'again', 'valve.set');
    await slow.submit(next, 'again');
    slow.witness();
    const verdict = verifyEvidence(bytesOf(slow.file({ action: next.id })), trustOf(swarm));
    expect(verdict.overall).toBe('proven');
    expect(verdict.ancestry?.hops.map(({ witnessed }) => witnessed)).toEqual([
      first + 3,
      first,
      first,
    ]);
  });
});
