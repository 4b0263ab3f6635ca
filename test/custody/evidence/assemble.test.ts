import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { assembleAction, assembleRange, type LedgerCopy } from '#custody/evidence/assemble.ts';
import { formatEvidence, formatEvidenceLine } from '#custody/evidence/format.ts';
import type { Trust } from '#custody/evidence/trust.ts';
import { verifyEvidence } from '#custody/evidence/verify.ts';
import { evidenceParts } from '#custody/evidence/write.ts';
import type { RecordEntry } from '#custody/ledger/entry.ts';
import { signRollover } from '#custody/log/rollover.ts';
import { signStatement } from '#custody/log/statement.ts';
import { parseRecord } from '#custody/record/parse.ts';
import type { RecordId } from '#custody/record.ts';
import { createStory } from '../ledger/support.ts';
import { logSigner, noteSigner, ORIGIN, witnessSigners } from '../log/support.ts';
import {
  createTestSwarm,
  forgeJws,
  type Name,
  type TestSwarm,
  testClock,
  text,
} from '../support.ts';
import {
  bytesOf,
  codes,
  createEvidenceLedger,
  type EvidenceLedger,
  policy,
  trustOf,
} from './support.ts';

const attester = noteSigner('city.example/attester');
const START = Math.floor(Date.now() / 1000) * 1000;
let swarm: TestSwarm;
let trust: Trust;
beforeAll(async () => {
  swarm = await createTestSwarm({ clock: testClock(START) });
  trust = trustOf(swarm, {
    issuance: { keys: [attester.verifier], required: 1, bootstrap: [] },
  });
});
beforeEach(() => swarm.clock.advance(START - swarm.clock()));

const judge = (file: string, by = trust) => verifyEvidence(bytesOf(file), by);

/** What the exporter holds of a ledger: found by what its entries say. */
function copyOf(made: EvidenceLedger): LedgerCopy {
  const records = () => made.entries.filter((entry) => entry.type === 'record');
  return {
    origin: ORIGIN,
    tree: made.tree,
    checkpoints: made.checkpoints,
    entries: {
      get: (id) => records().find(({ record }) => record.id === id),
      children: (id) => records().filter(({ record }) => record.claims.par.includes(id)),
      chain: (thumbprint) => made.ledger.chain(thumbprint),
      list: ({ since = 0, limit = 0 } = {}) => made.entries.slice(since, since + limit),
    },
  };
}

function issuance(name: Name): string {
  const { id, thumbprint, serial, notBefore, notAfter } = swarm.svid(name);
  return signStatement(
    {
      kind: 'issuance',
      id,
      thumbprint,
      serial,
      nbf: notBefore.getTime() / 1000,
      exp: notAfter.getTime() / 1000,
      selectors: ['process:image:x'],
    },
    [attester],
  );
}

const policyStatement = (revision: string): string => {
  const [digest, data] = ['a'.repeat(64), 'b'.repeat(64)];
  return signStatement({ kind: 'policy', revision, digest, data, from: 1 }, [attester]);
};

/** Two readings, of which one led to an act, which was answered; everything issued before. */
async function createStoryLedger() {
  const made = createEvidenceLedger(swarm);
  made.state(policyStatement('one'));
  for (const name of ['sensor', 'analyzer', 'action', 'mcp', 'llm'] as const) {
    made.state(issuance(name));
  }
  const story = createStory(swarm);
  const other = story.read('other');
  await made.submit(other, 'other');
  const read = story.read();
  await made.submit(read, 'reading');
  made.witness();
  swarm.clock.advance(1000);
  const finding = story.finding([read.id]);
  await made.submit(finding, 'finding');
  made.state(policyStatement('two'));
  const act = story.act([finding.id]);
  await made.submit(act, 'act');
  made.state(policyStatement('three'));
  const answer = swarm.signer('mcp').sign({
    aud: [act.claims.iss],
    sbj: '_INBOX.action-action-1.service-mcp',
    knd: 'tool.result',
    par: [act.id],
    payload: text('done'),
  });
  swarm.clock.advance(1000);
  made.witness();
  return { made, story, other, read, finding, act, answer };
}

const documentOf = (copy: LedgerCopy, action: RecordId, withhold?: () => boolean) => {
  const assembled = assembleAction(copy, action, withhold);
  if (assembled === undefined) throw new Error('no such record');
  return formatEvidence([...evidenceParts(assembled)]);
};
const linesOf = (copy: LedgerCopy, from?: number) =>
  [...evidenceParts(assembleRange(copy, from))].map(formatEvidenceLine).join('');
const revisions = (file: string) => [...file.matchAll(/revision\\":\\"(\w+)/g)].map(([, r]) => r);

describe('evidence of an action, assembled from a whole ledger', () => {
  it('is proven: its records, their certificates as issued, and nothing of others', async () => {
    const { made, act, other, finding, read } = await createStoryLedger();
    const file = documentOf(copyOf(made), act.id);
    const verdict = judge(file);
    expect(verdict).toMatchObject({ overall: 'proven', counts: { genuine: 3 } });
    expect(verdict.ancestry?.hops.map(({ id }) => id)).toEqual([act.id, finding.id, read.id]);
    expect(file).not.toContain(other.id);
    // Three certificates were used, five were issued.
    expect(verdict.beside.statement).toBe(3 + 2);
    // The reading is proven in the first checkpoint that has it, the rest in the second.
    expect(JSON.parse(file).checkpoints).toHaveLength(2);
  });

  it('holds the policy that was in force at each hop, and none that came after', async () => {
    const { made, act, finding } = await createStoryLedger();
    expect(revisions(documentOf(copyOf(made), act.id))).toEqual(['one', 'two']);
    expect(revisions(documentOf(copyOf(made), finding.id))).toEqual(['one']);
  });

  it('holds the answer to the action: that it was done, or why not', async () => {
    const { made, act, answer } = await createStoryLedger();
    await made.submit(answer, 'done');
    made.witness();
    const verdict = judge(documentOf(copyOf(made), act.id));
    expect(verdict).toMatchObject({ overall: 'proven', counts: { genuine: 4 } });
    expect(verdict.beyond?.map(({ id, verdict }) => [id, verdict])).toEqual([
      [answer.id, 'genuine'],
    ]);
  });

  it('holds a revocation, whenever it came: what was before it stays proven', async () => {
    const { made, act, finding } = await createStoryLedger();
    const { thumbprint } = swarm.svid('analyzer');
    made.state(signStatement({ kind: 'revocation', thumbprint, reason: 'stolen' }, [attester]));
    made.witness();
    const file = documentOf(copyOf(made), act.id);
    expect(file).toContain('stolen');
    expect(judge(file).overall).toBe('proven');
    const late = createStory(swarm).finding([finding.id]);
    await made.submit(late, 'finding');
    made.witness();
    const verdict = judge(documentOf(copyOf(made), late.id));
    expect(verdict.faults).toMatchObject([{ code: 'RECORD_SVID_REVOKED', id: late.id }]);
  });

  it('without the statement that a certificate was issued is not verifiable', async () => {
    const { made, act, finding } = await createStoryLedger();
    const copy = copyOf(made);
    const { thumbprint } = swarm.svid('analyzer');
    const list: LedgerCopy['entries']['list'] = (filter) =>
      copy.entries
        .list(filter)
        .filter((entry) => entry.type !== 'statement' || !entry.note.includes(thumbprint));
    const verdict = judge(documentOf({ ...copy, entries: { ...copy.entries, list } }, act.id));
    expect(verdict.overall).toBe('unverifiable');
    expect(verdict.faults).toMatchObject([{ code: 'EVIDENCE_ISSUANCE_MISSING', id: finding.id }]);
  });

  it('says that a sender gave the number of one of its records to another', async () => {
    const { made, act, finding } = await createStoryLedger();
    const claims = { ...finding.claims, jti: 'A'.repeat(22) };
    const jws = forgeJws(swarm.svid('analyzer'), claims as never);
    const record = parseRecord(jws);
    const [first] = made.entries.filter(
      (entry): entry is RecordEntry => entry.type === 'record' && entry.record.id === finding.id,
    );
    if (!record.ok || first === undefined) throw new Error('no record');
    made.take({
      ...first,
      type: 'equivocation',
      index: made.tree.size(),
      record: record.value,
      payload: undefined,
      other: finding.id,
    });
    made.witness();
    const verdict = judge(documentOf(copyOf(made), act.id));
    expect(verdict.overall).toBe('forged');
    expect(verdict.faults).toMatchObject([{ code: 'LEDGER_EQUIVOCATION', id: finding.id }]);
    expect(verdict.beside.equivocation).toBe(1);
  });

  it('follows a change of the log’s keys that the ledger holds', async () => {
    const { made, act, answer } = await createStoryLedger();
    const next = noteSigner(ORIGIN, 'note', 'second');
    const rollover = { from: made.tree.size() + 1, policy: { ...policy, log: [next.verifier] } };
    const time = Math.floor(swarm.clock() / 1000);
    made.state(signRollover(rollover, [logSigner, next, ...witnessSigners.slice(0, 2)], time));
    await made.submit(answer, 'done');
    made.witness({ log: next });
    const verdict = judge(documentOf(copyOf(made), act.id));
    expect(verdict).toMatchObject({ overall: 'proven', counts: { genuine: 4 } });
  });

  it('says how large a tree must be witnessed, so that whoever exports can wait for it', async () => {
    const { made, act, answer } = await createStoryLedger();
    await made.submit(answer, 'done');
    const early = assembleAction(copyOf(made), act.id);
    expect(early).toMatchObject({ needed: made.tree.size(), witnessed: made.tree.size() - 1 });
    const file = documentOf(copyOf(made), act.id);
    expect(codes(judge(file))).toEqual(['EVIDENCE_CHECKPOINT_MISSING']);
    made.witness();
    const late = assembleAction(copyOf(made), act.id);
    expect(late?.needed).toBe(late?.witnessed);
    expect(assembleAction(copyOf(made), 'A'.repeat(43) as RecordId)).toBeUndefined();
  });

  it('withholds every payload and salt when asked, and is proven all the same', async () => {
    const { made, act } = await createStoryLedger();
    const file = documentOf(copyOf(made), act.id, () => true);
    expect(judge(file)).toMatchObject({ overall: 'proven', counts: { withheld: 3 } });
    expect(file).not.toMatch(/"payload"|"salt"/);
  });
});

describe('evidence of a range of the ledger', () => {
  it('is every witnessed entry, and proven', async () => {
    const { made } = await createStoryLedger();
    const file = linesOf(copyOf(made));
    expect(judge(file)).toMatchObject({
      overall: 'proven',
      counts: { genuine: 4 },
      entries: { count: made.tree.size(), from: 0, to: made.tree.size() },
    });
  });

  it('ends before an effect whose cause was witnessed only later', async () => {
    const { made, story } = await createStoryLedger();
    const whole = made.tree.size();
    const read = story.read('late');
    const finding = story.finding([read.id], 'early');
    await made.submit(finding, 'early');
    made.witness();
    await made.submit(read, 'late');
    expect(judge(linesOf(copyOf(made)))).toMatchObject({
      overall: 'proven',
      entries: { to: whole },
    });
    made.witness();
    expect(judge(linesOf(copyOf(made)))).toMatchObject({
      overall: 'proven',
      entries: { to: whole + 2 },
    });
  });

  it('leaves out what is not witnessed, and is empty where nothing is', async () => {
    const { made, answer } = await createStoryLedger();
    const whole = made.tree.size();
    await made.submit(answer, 'done');
    expect(judge(linesOf(copyOf(made)))).toMatchObject({
      overall: 'proven',
      entries: { to: whole },
    });
    made.checkpoints.splice(0);
    expect(codes(judge(linesOf(copyOf(made))))).toEqual(['EVIDENCE_RECORD_MISSING']);
  });
});
