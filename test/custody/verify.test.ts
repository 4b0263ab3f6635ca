import { randomBytes } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createRecordSigner } from '#custody/record/sign.ts';
import type { RecordId, SignedRecord } from '#custody/record.ts';
import { renderTree } from '#custody/tree.ts';
import { type EvidenceRecord, verifyAncestry } from '#custody/verify.ts';
import { bundleSet, createTestCa } from '#test/support/test-ca.ts';
import { createStory, createTestLedger, submission } from './ledger/support.ts';
import { createTestSwarm, IDS, reading, type TestSwarm, testClock, text } from './support.ts';

let swarm: TestSwarm;
let story: ReturnType<typeof createStory>;
beforeAll(async () => {
  swarm = await createTestSwarm({ clock: testClock(Math.floor(Date.now() / 1000) * 1000) });
});
beforeEach(() => {
  story = createStory(swarm);
});

const evidence = (record: SignedRecord, payload?: string): EvidenceRecord => ({
  id: record.id,
  jws: record.jws,
  salt: record.salt,
  chain: record.chain,
  ...(payload !== undefined && { payload: text(payload) }),
});

/** reading → finding → act, one second apart. */
function plot() {
  const read = story.read();
  swarm.clock.advance(1000);
  const finding = story.finding([read.id]);
  swarm.clock.advance(1000);
  const act = story.act([finding.id]);
  swarm.clock.advance(-2000);
  const records = [evidence(act, 'act'), evidence(finding, 'finding'), evidence(read, 'reading')];
  return { read, finding, act, records };
}
const judge = (records: readonly EvidenceRecord[], trust = {}) => {
  const ancestry = verifyAncestry(records, { bundles: swarm.bundles, ...trust });
  if (ancestry === undefined) throw new Error('no evidence');
  return ancestry;
};
const verdicts = (records: readonly EvidenceRecord[], trust = {}) =>
  judge(records, trust).hops.map(({ verdict, code }) => (code ? `${verdict} ${code}` : verdict));

describe('the verdict on an ancestry', () => {
  it('is genuine hop by hop, years later and in any order of the records', () => {
    const { records, act } = plot();
    expect(verdicts(records)).toEqual(['genuine', 'genuine', 'genuine']);
    expect(judge(records).proven).toBe(true);
    expect(judge([...records].reverse(), { root: act.id }).proven).toBe(true);
    expect(verifyAncestry([], { bundles: swarm.bundles })).toBeUndefined();
  });

  it('is withheld where the payload is not shown, and still proven', () => {
    const { records } = plot();
    const { payload: _, ...closed } = records[1] as EvidenceRecord;
    const judged = [records[0], closed, records[2]] as EvidenceRecord[];
    expect(verdicts(judged)).toEqual(['genuine', 'withheld', 'genuine']);
    expect(judge(judged).proven).toBe(true);
  });

  it('is genuine for an empty payload', () => {
    const read = story.read('');
    expect(verdicts([evidence(read, '')])).toEqual(['genuine']);
  });

  it.each<[string, (record: EvidenceRecord, other: SignedRecord) => EvidenceRecord, string]>([
    ['an altered payload', (r) => ({ ...r, payload: text('x') }), 'forged RECORD_PAYLOAD_MISMATCH'],
    [
      'an altered signature',
      (r) => ({ ...r, jws: `${r.jws.slice(0, -86)}${'A'.repeat(86)}` }),
      'forged RECORD_SIGNATURE_INVALID',
    ],
    [
      'another record in its place',
      (r, other) => ({ ...r, jws: other.jws }),
      'forged RECORD_SIGNATURE_INVALID',
    ],
    ['a text that is no record', (r) => ({ ...r, jws: 'x' }), 'forged RECORD_FORM_INVALID'],
    ['a missing certificate', (r) => ({ ...r, chain: [] }), 'unverifiable RECORD_CHAIN_UNKNOWN'],
    [
      'another certificate',
      (r, other) => ({ ...r, chain: other.chain }),
      'forged RECORD_CHAIN_MISMATCH',
    ],
    [
      'a place in the ledger long after the SVID ended',
      (r) => ({ ...r, at: Date.now() + 7_200_000 }),
      'unverifiable RECORD_SVID_NOT_VALID',
    ],
  ])('falls with %s', (_name, change, expected) => {
    const { records, read, act } = plot();
    const changed = records.map((r, index) => (index === 1 ? change(r, index ? read : act) : r));
    const found = judge(changed);
    expect(verdicts(changed)[1]).toBe(expected);
    expect(found.proven).toBe(false);
    expect(found.firstBad?.id).toBe(records[1]?.id);
  });

  it('is forged where a certificate seen before had ended when the record was issued', async () => {
    const clock = testClock(swarm.clock());
    const [notBefore, notAfter] = [new Date(clock() - 10_000), new Date(clock() + 2000)];
    const svid = await swarm.ca.issue(IDS.sensor, { notBefore, notAfter });
    const { sign } = createRecordSigner({ source: () => svid, clock, random: randomBytes });
    clock.advance(60_000);
    const late = sign(reading('x'));
    clock.advance(-60_000);
    const inTime = sign(reading('x', { knd: 'msg', par: [late.id] }));
    expect(verdicts([evidence(inTime, 'x'), evidence(late, 'x')])).toEqual([
      'forged LEDGER_PARENT_LATER',
      'forged RECORD_SVID_NOT_VALID',
    ]);
  });

  it('names the gap where a record is missing', () => {
    const { records, read } = plot();
    const { firstBad, proven } = judge(records.slice(0, 2));
    expect(proven).toBe(false);
    expect(firstBad).toEqual({
      id: read.id,
      verdict: 'unverifiable',
      reason: 'the record is missing',
    });
  });

  it('is forged under another authority, unverifiable without one', async () => {
    const { records } = plot();
    const other = bundleSet(await createTestCa('city.example'));
    expect(verdicts(records, { bundles: other })[0]).toBe('forged RECORD_CHAIN_UNVERIFIED');
    expect(verdicts(records, { bundles: new Map() })[0]).toBe(
      'unverifiable RECORD_CHAIN_UNVERIFIED',
    );
  });

  it('asks that the sender is a member, where the members are given', () => {
    const { records } = plot();
    expect(judge(records, { members: Object.values(IDS) }).proven).toBe(true);
    expect(verdicts(records, { members: [IDS.action, IDS.analyzer] })).toEqual([
      'genuine',
      'genuine',
      'unverifiable RECORD_ISSUER_MISMATCH',
    ]);
  });

  it('is forged where a record names a cause that its sender was never sent', () => {
    const read = story.read();
    const act = story.act([read.id]);
    expect(verdicts([evidence(act, 'act'), evidence(read, 'reading')])).toEqual([
      'forged LEDGER_PARENT_NOT_RECEIVED',
      'genuine',
    ]);
  });

  it('is forged where the cause came after its effect', () => {
    swarm.clock.advance(10_000);
    const read = story.read();
    swarm.clock.advance(-10_000);
    const finding = story.finding([read.id]);
    expect(verdicts([evidence(finding, 'finding'), evidence(read, 'reading')])[0]).toBe(
      'forged LEDGER_PARENT_LATER',
    );
  });

  it('takes what the ledger hands out', async () => {
    const { read, finding, act } = plot();
    const { ledger } = createTestLedger(swarm);
    for (const [record, payload] of [
      [read, 'reading'],
      [finding, 'finding'],
      [act, 'act'],
    ] as const) {
      expect(await ledger.submit(submission(record, payload))).toMatchObject({ ok: true });
    }
    expect(judge(ledger.ancestry(act.id)).proven).toBe(true);
    expect(ledger.ancestry('x' as RecordId)).toEqual([]);
  });
});

describe('the drawing of an ancestry', () => {
  const draw = (records: readonly EvidenceRecord[], options = {}) =>
    renderTree(judge(records), options);

  it('shows the act, and below it what it came from', () => {
    expect(draw(plot().records)).toEqual([
      'signal.set_plan  /agent/action/north/action-1  0:02 genuine',
      '└ finding  /agent/analyzer/north/analyzer-1  0:01 genuine',
      '  └ reading  /agent/sensor/north/cam-1  0:00 genuine',
    ]);
  });

  it('says why a hop is bad, marks what no model signed, draws nothing twice', () => {
    const read = story.read();
    const result = swarm.signer('llm').sign({
      aud: [IDS.analyzer],
      sbj: '_INBOX.analyzer-analyzer-1.llm.n0',
      knd: 'tool.result',
      par: [read.id],
      tool: { kind: 'llm', model: 'city-small', rid: '1', signed: false },
      payload: text('answer'),
    });
    const finding = story.finding([read.id, result.id]);
    const records = [evidence(finding, 'finding'), evidence(read, 'changed'), evidence(result)];
    expect(draw(records)).toEqual([
      'finding  /agent/analyzer/north/analyzer-1  0:00 genuine',
      '├ reading  /agent/sensor/north/cam-1  0:00 forged',
      '│   the payload is not the one that was signed',
      '└ tool.result  /service/llm  0:00 forged, city-small unsigned',
      '    a cause was not addressed to the sender',
      '  └ reading  /agent/sensor/north/cam-1  0:00 see above',
    ]);
  });

  it('counts many plain causes, but never a bad one among them', () => {
    const reads = Array.from({ length: 12 }, () => story.read());
    const finding = story.finding(reads.map(({ id }) => id));
    const records = [
      evidence(finding, 'finding'),
      ...reads.map((read, index) => evidence(read, index === 11 ? 'changed' : 'reading')),
    ];
    const lines = draw(records, { siblings: 3 });
    expect(lines.filter((line) => line.includes('genuine')).length).toBe(4);
    expect(lines.filter((line) => line.includes('forged')).length).toBe(1);
    expect(lines.at(-1)).toBe('└ … 9 more, all genuine or withheld');
  });

  it('never exceeds the columns, however deep or long-named', () => {
    let { id } = story.read();
    const records: EvidenceRecord[] = [];
    for (let depth = 0; depth < 60; depth++) {
      const join = story.analyzer.sign({
        ...reading('x', { sbj: `north.${'join'.repeat(40)}.analyzer-analyzer-1` }),
        knd: 'msg',
        par: [id],
      });
      id = join.id;
      records.unshift(evidence(join, depth % 3 === 0 ? 'y' : 'x'));
    }
    for (const columns of [80, 40]) {
      const lines = draw(records, { columns });
      expect(lines.length).toBeGreaterThan(60);
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    }
    expect(draw(records)[0]).toMatch(/0:00 genuine$/);
  });
});
