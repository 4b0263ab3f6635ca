import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { TAMPERINGS, type Tampering, tamper } from '#custody/evidence/tamper.ts';
import type { Trust } from '#custody/evidence/trust.ts';
import { type EvidenceVerdict, EXIT_CODES } from '#custody/evidence/verdict.ts';
import { verifyEvidence } from '#custody/evidence/verify.ts';
import { createStory } from '../ledger/support.ts';
import { witnessSigners } from '../log/support.ts';
import { createTestSwarm, type TestSwarm, testClock } from '../support.ts';
import { bytesOf, codes, createCase, createEvidenceLedger, trustOf } from './support.ts';

let swarm: TestSwarm;
let trust: Trust;
let made: Awaited<ReturnType<typeof createCase>>;
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
beforeAll(async () => {
  swarm = await createTestSwarm({ clock: testClock(Math.floor(Date.now() / 1000) * 1000) });
  trust = trustOf(swarm);
  made = await createCase(swarm);
  made.witness({ by: witnessSigners });
});

const judge = (text: string) => verifyEvidence(bytesOf(text), trust);
function tampered(text: string, how: Tampering): EvidenceVerdict {
  const result = tamper(text, how, privateKey);
  if (!result.ok) throw new Error(result.detail);
  expect(result.value).not.toBe(text);
  return judge(result.value);
}

/** What each is caught by, and of which record the verdict says so. */
const CAUGHT: Readonly<
  Record<
    Tampering,
    readonly [EvidenceVerdict['overall'], code: string, whose: 'read' | 'act' | 'new' | undefined]
  >
> = {
  edit: ['forged', 'RECORD_PAYLOAD_MISMATCH', 'read'],
  drop: ['unverifiable', 'EVIDENCE_RECORD_MISSING', 'read'],
  reorder: ['forged', 'EVIDENCE_NOT_IN_LEDGER', 'read'],
  // The certificate was not valid then; within its validity the signature would be named.
  backdate: ['forged', 'RECORD_CHAIN_UNVERIFIED', 'new'],
  'swap-key': ['forged', 'RECORD_SIGNATURE_INVALID', 'act'],
  truncate: ['unverifiable', 'EVIDENCE_ACTION_MISSING', 'act'],
  fork: ['forged', 'NOTE_SIGNATURE_INVALID', 'read'],
  frame: ['forged', 'RECORD_SIGNATURE_INVALID', 'new'],
};

describe('an evidence file that somebody tampered with', () => {
  it.each(Object.keys(TAMPERINGS) as Tampering[])(
    'is caught, and what was done named: %s',
    (how) => {
      const [overall, code, whose] = CAUGHT[how];
      for (const text of [
        made.file({ action: made.act.id }),
        made.lines({ action: made.act.id }),
      ]) {
        expect(judge(text).overall).toBe('proven');
        const verdict = tampered(text, how);
        expect(verdict.overall).toBe(overall);
        expect(codes(verdict)).toContain(code);
        expect(EXIT_CODES[verdict.overall]).not.toBe(0);
        const named = verdict.faults.filter((fault) => fault.code === code).map(({ id }) => id);
        if (whose === 'new') expect(named).toContain(verdict.ancestry?.root);
        else if (whose !== undefined) expect(named).toContain(made[whose].id);
      }
    },
  );

  it.each(Object.keys(TAMPERINGS) as Tampering[])('is caught as a whole export, too: %s', (how) => {
    const text = made.lines();
    expect(judge(text).overall).toBe('proven');
    const gap = how === 'drop' || how === 'truncate';
    const [overall, code] = gap ? (['unverifiable', 'EVIDENCE_GAP'] as const) : CAUGHT[how];
    const verdict = tampered(text, how);
    expect(verdict.overall).toBe(overall);
    expect(codes(verdict)).toContain(code);
  });

  it('cut off with its range shortened lacks what its own checkpoint covers', () => {
    const cut = tamper(made.lines(), 'truncate', privateKey);
    if (!cut.ok) throw new Error(cut.detail);
    expect(cut.value).toContain('"range":{"from":0,"to":2}');
    expect(judge(cut.value).faults.map(({ detail }) => detail)).toEqual([
      'entry 2 is missing: the range ends before its checkpoint of 3 entries',
    ]);
  });

  it('is caught where the payload is withheld', () => {
    const text = made.file({ action: made.act.id }, { withhold: () => true });
    expect(judge(text).overall).toBe('proven');
    expect(codes(tampered(text, 'edit'))).toContain('RECORD_SIGNATURE_INVALID');
  });

  it('is edited in its first cause, wherever the ledger entered that', () => {
    const late = createEvidenceLedger(swarm);
    const [read, finding, act] = made.entries;
    for (const entry of [finding, read, act]) {
      if (entry !== undefined) late.take({ ...entry, index: late.tree.size() });
    }
    late.witness({ by: witnessSigners });
    const chainOf = (thumbprint: string) => made.ledger.chain(thumbprint);
    const text = late.file({ action: made.act.id }, { chainOf });
    expect(judge(text).overall).toBe('proven');
    const verdict = tampered(text, 'edit');
    expect(verdict.faults.map(({ code, id }) => [code, id])).toEqual([
      ['RECORD_PAYLOAD_MISMATCH', made.read.id],
    ]);
  });

  it('is not tampered with when it holds no record', () => {
    const text = made.file({ action: made.act.id }, { entries: [] });
    expect(tamper(text, 'edit', privateKey)).toMatchObject({ code: 'EVIDENCE_MALFORMED' });
    expect(tamper('{', 'edit', privateKey)).toMatchObject({ code: 'EVIDENCE_NOT_CANONICAL' });
  });

  it('with the ledger’s own key, still lacks the witnesses', async () => {
    // The operator re-signs a ledger without the finding: nobody else has seen that tree.
    const rewritten = createEvidenceLedger(swarm);
    for (const entry of made.entries.toSpliced(1, 1)) {
      rewritten.take({ ...entry, index: rewritten.tree.size() });
    }
    rewritten.witness({ by: [] });
    const header = { action: made.act.id };
    const chainOf = (thumbprint: string) => made.ledger.chain(thumbprint);
    const verdict = judge(rewritten.file(header, { chainOf }));
    expect(verdict.overall).toBe('unverifiable');
    expect(codes(verdict)).toContain('CHECKPOINT_QUORUM_MISSING');
  });
});

describe('a bulk export', () => {
  it('names the entries that are missing from its range, in the middle and at the end', async () => {
    const bulk = createEvidenceLedger(swarm);
    const story = createStory(swarm);
    for (let count = 0; count < 9; count++) await bulk.submit(story.read(`${count}`), `${count}`);
    bulk.witness();
    const range = { from: 0, to: 9 };
    expect(judge(bulk.lines({ range }))).toMatchObject({
      overall: 'proven',
      counts: { genuine: 9 },
    });
    const holes = bulk.lines({ range }, { entries: bulk.entries.toSpliced(3, 2).slice(0, -1) });
    const verdict = judge(holes);
    expect(verdict).toMatchObject({ overall: 'unverifiable', counts: { genuine: 6 } });
    expect(verdict.faults.map(({ code, detail }) => `${code}: ${detail}`)).toEqual([
      'EVIDENCE_GAP: entries 3 to 4 are missing',
      'EVIDENCE_GAP: entry 8 is missing',
    ]);
    const parts = bulk.lines({ range }).split('\n');
    const [a, b] = [parts.length - 3, parts.length - 2];
    const swapped = parts
      .with(a, parts[b] ?? '')
      .with(b, parts[a] ?? '')
      .join('\n');
    expect(codes(judge(swapped))).toEqual(['EVIDENCE_GAP', 'EVIDENCE_ORDER']);
  });

  it('holds one record once, and one number of a sender once', async () => {
    const bulk = createEvidenceLedger(swarm);
    const story = createStory(swarm);
    await bulk.submit(story.read('a'), 'a');
    const [entry] = bulk.entries;
    if (entry === undefined) return;
    bulk.take({ ...entry, index: 1 });
    bulk.witness();
    expect(codes(judge(bulk.lines()))).toEqual(['EVIDENCE_DUPLICATE']);
  });
});

describe('any byte of an evidence file', () => {
  it('that is flipped changes the verdict, or is one of those that nothing signs', async () => {
    const small = createEvidenceLedger(swarm);
    const read = createStory(swarm).read();
    await small.submit(read, 'reading');
    // One witness more than the quorum: its line may be missing, so its name may be altered.
    small.witness({ by: witnessSigners });
    const text = small.file({ action: read.id });
    const bytes = bytesOf(text);
    expect(judge(text).overall).toBe('proven');
    const unchanged: number[] = [];
    for (let at = 0; at < bytes.length; at++) {
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      if (verifyEvidence(bytes, trust).overall === 'proven') unchanged.push(at);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
    }
    // Name and id of a signature line choose the pinned key: altered, the line is a stranger's.
    const names = new Set<number>();
    for (const [line, name = '', id = ''] of text.matchAll(/— (city\.example\/w\d) ([\w+/]{6})/g)) {
      const begin = Buffer.byteLength(text.slice(0, text.indexOf(line) + 2));
      for (let at = 0; at < name.length + 1 + id.length; at++) names.add(begin + at);
    }
    // Each alone leaves a quorum of two. Bytes whose change breaks the form are caught as well.
    expect(unchanged.length).toBeGreaterThan(0);
    expect(unchanged.filter((at) => !names.has(at))).toEqual([]);
  });
});
