import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Trust } from '#custody/evidence/trust.ts';
import { verifyChunks, verifyEvidence } from '#custody/evidence/verify.ts';
import type { RecordId } from '#custody/record.ts';
import { renderTree } from '#custody/tree.ts';
import { createStory } from '../ledger/support.ts';
import { createTestSwarm, reading, type TestSwarm, testClock } from '../support.ts';
import { bytesOf, codes, createCase, createEvidenceLedger, hops, trustOf } from './support.ts';

let swarm: TestSwarm;
let trust: Trust;
const START = Math.floor(Date.now() / 1000) * 1000;
beforeAll(async () => {
  swarm = await createTestSwarm({ clock: testClock(START) });
  trust = trustOf(swarm);
});
beforeEach(() => swarm.clock.advance(START - swarm.clock()));

const judge = (text: string, by = trust) => verifyEvidence(bytesOf(text), by);

describe('evidence of an action', () => {
  it('is proven, with every hop genuine, from the file and the pins alone', async () => {
    const { file, act, read, finding, witness } = await createCase(swarm);
    witness();
    const verdict = judge(file({ action: act.id }));
    expect(verdict).toMatchObject({
      overall: 'proven',
      counts: { genuine: 3, withheld: 0, forged: 0, unverifiable: 0 },
      faults: [],
      entries: { count: 3, from: 0, to: 3 },
      witnessed: { size: 3, time: START / 1000 + 3 },
    });
    expect(verdict.ancestry?.hops.map(({ id }) => id)).toEqual([act.id, finding.id, read.id]);
    expect(verdict.ancestry && renderTree(verdict.ancestry)).toEqual([
      'signal.set_plan  /agent/action/north/action-1  0:02 genuine',
      '└ finding  /agent/analyzer/north/analyzer-1  0:01 genuine',
      '  └ reading  /agent/sensor/north/cam-1  0:00 genuine',
    ]);
  });

  it('has one verdict as a document, as lines, and in any chunks', async () => {
    const { file, lines, act, witness } = await createCase(swarm);
    witness();
    const bulk = lines({ action: act.id });
    const [document, other] = [judge(file({ action: act.id })), judge(bulk)];
    expect(other).toEqual(document);
    for (const size of [1, 7, 1000, 100_000]) {
      const bytes = bytesOf(bulk);
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, (at + 1) * size),
      );
      expect(await verifyChunks(chunks, trust)).toEqual(document);
    }
  });

  it('is proven where payloads are withheld, and neither they nor their salts are in it', async () => {
    const { file, act, finding, witness } = await createCase(swarm);
    witness();
    const text = file({ action: act.id }, { withhold: (id) => id === finding.id });
    expect(hops(judge(text))).toEqual(['genuine', 'withheld', 'genuine']);
    expect(judge(text).overall).toBe('proven');
    expect(text).not.toContain(Buffer.from(finding.salt).toString('base64url'));
    expect(text).not.toContain(Buffer.from('finding').toString('base64'));
  });

  it('names the record that is missing, and who named it', async () => {
    const { file, act, finding, read, entries, witness } = await createCase(swarm);
    witness();
    const verdict = judge(file({ action: act.id }, { entries: entries.toSpliced(0, 1) }));
    expect(verdict).toMatchObject({
      overall: 'unverifiable',
      faults: [{ code: 'EVIDENCE_RECORD_MISSING', id: read.id }],
    });
    expect(verdict.faults[0]?.detail).toContain(finding.id);
    expect(hops(verdict)).toEqual(['genuine', 'genuine', 'unverifiable EVIDENCE_RECORD_MISSING']);
    const other = judge(file({ action: 'A'.repeat(43) as RecordId }));
    expect(other).toMatchObject({ overall: 'unverifiable' });
  });

  it('takes causes that the ledger took after their effects', async () => {
    const story = createStory(swarm);
    const made = createEvidenceLedger(swarm);
    const read = story.read();
    const finding = story.finding([read.id]);
    await made.submit(finding, 'finding');
    await made.submit(read, 'reading');
    made.witness();
    expect(judge(made.file({ action: finding.id })).overall).toBe('proven');
  });

  it('takes records that were signed in a batch, each as if it were single', async () => {
    const made = createEvidenceLedger(swarm);
    const payloads = ['a', 'b', 'c'];
    const batch = swarm.signer('sensor').signBatch(payloads.map((payload) => reading(payload)));
    for (const [index, record] of batch.entries()) await made.submit(record, payloads[index]);
    const finding = createStory(swarm).finding(batch.map(({ id }) => id));
    await made.submit(finding, 'finding');
    made.witness();
    const text = made.file({ action: finding.id });
    expect(judge(text)).toMatchObject({ overall: 'proven', counts: { genuine: 4 } });
    const moved = text.replace('~1~', '~2~');
    expect(hops(judge(moved))).toContain('forged RECORD_SIGNATURE_INVALID');
  });

  it('is forged where a cause was not sent to the one that names it, in either order', async () => {
    for (const first of ['cause', 'effect'] as const) {
      const story = createStory(swarm);
      const made = createEvidenceLedger(swarm);
      const read = story.read();
      const result = swarm
        .signer('llm')
        .sign(reading('x', { sbj: 'x.y.service-llm', knd: 'msg', par: [read.id] }));
      if (first === 'cause') await made.submit(read, 'reading');
      await made.submit(result, 'x');
      if (first === 'effect') await made.submit(read, 'reading');
      made.witness();
      expect(hops(judge(made.file({ action: result.id })))).toEqual([
        'forged LEDGER_PARENT_NOT_RECEIVED',
        'genuine',
      ]);
    }
  });

  it('judges what stands beside the records: refusals, and records that are no cause', async () => {
    const made = await createCase(swarm);
    await made.submit(swarm.signer('sensor').sign(reading('other')), 'other');
    made.take({
      type: 'refusal',
      index: made.tree.size(),
      at: swarm.clock(),
      refusal: {
        type: 'refusal',
        code: 'RECORD_EXPIRED',
        presented_by: 'x',
        subject: 's',
        count: 1,
      },
    });
    made.witness();
    const verdict = judge(made.file({ action: made.act.id }));
    expect(verdict).toMatchObject({ overall: 'proven', beside: { refusal: 1 } });
    expect(verdict.counts.genuine).toBe(4);
    const moved = judge(made.file({ action: made.act.id }).replace('"count":1', '"count":2'));
    expect(codes(moved)).toEqual(['EVIDENCE_NOT_IN_LEDGER']);
  });
});
