import { randomBytes } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { encodeAck } from '#custody/ack.ts';
import { type EvidencePart, formatEvidence } from '#custody/evidence/format.ts';
import type { Trust } from '#custody/evidence/trust.ts';
import { verifyEvidence } from '#custody/evidence/verify.ts';
import { signStatement } from '#custody/log/statement.ts';
import { createRecordSigner } from '#custody/record/sign.ts';
import type { SignedRecord } from '#custody/record.ts';
import type { X509Svid } from '#identity/svid.ts';
import { createStory } from '../ledger/support.ts';
import { noteSigner } from '../log/support.ts';
import { createTestSwarm, IDS, reading, type TestSwarm, testClock, text } from '../support.ts';
import { bytesOf, createCase, createEvidenceLedger, trustOf } from './support.ts';

const attester = noteSigner('city.example/attester');
const issuance = { keys: [attester.verifier], required: 1, bootstrap: [] };
let swarm: TestSwarm;
let trust: Trust;
/** A certificate of the sensor, and one of the action agent, that a thief of the authority's key made. */
let rogue: X509Svid;
let rogueAction: X509Svid;
const START = Math.floor(Date.now() / 1000) * 1000;
beforeAll(async () => {
  swarm = await createTestSwarm({ clock: testClock(START) });
  trust = trustOf(swarm, { members: Object.values(IDS) });
  rogue = await swarm.ca.issue(IDS.sensor);
  rogueAction = await swarm.ca.issue(IDS.action);
});
beforeEach(() => swarm.clock.advance(START - swarm.clock()));

const judge = (file: string, by = trust) => verifyEvidence(bytesOf(file), by);
const faultsOf = (file: string, by = trust) =>
  judge(file, by).faults.map(({ code, id }) => [code, id]);

/** Signs with that certificate, under the numbers of a session. */
const signerOf = (svid: X509Svid, session?: string) =>
  createRecordSigner({
    source: () => svid,
    clock: swarm.clock,
    random: randomBytes,
    ...(session !== undefined && { session }),
  });
const issued = (svid: X509Svid): string => {
  const { id, thumbprint, serial } = svid;
  const statement = { kind: 'issuance', id, thumbprint, serial, nbf: 1, exp: 2 } as const;
  return signStatement({ ...statement, selectors: ['x:y'] }, [attester]);
};
/** A ledger that has entered the honest certificates as issued. */
function createIssued() {
  const made = createEvidenceLedger(swarm);
  for (const name of ['sensor', 'analyzer', 'action'] as const) {
    made.state(issued(swarm.svid(name)));
  }
  return made;
}
const pinned = () => ({ ...trust, issuance });

describe('of acts for one cause and one tool', () => {
  async function acts(tool: string, order: 'first' | 'last' = 'first') {
    const made = createEvidenceLedger(swarm);
    const story = createStory(swarm);
    const [a, b] = [story.finding([]), story.finding([])];
    for (const cause of [a, b]) await made.submit(cause, 'finding');
    const one = story.act([a.id]);
    const two = story.act([b.id, a.id], 'act', tool);
    for (const act of order === 'first' ? [one, two] : [two, one]) made.enter(act, 'act');
    made.witness();
    return { made, one, two, b };
  }

  it('the second is forged, although ledger and witnesses let it pass', async () => {
    const { made, one, two } = await acts('signal.set_plan');
    expect(judge(made.file()).overall).toBe('forged');
    expect(faultsOf(made.file())).toEqual([['LEDGER_ACT_CLAIMED', two.id]]);
    expect(judge(made.file()).faults[0]?.detail).toContain(one.id);
    const other = await acts('valve.status');
    expect(judge(other.made.file()).overall).toBe('proven');
  });

  it('is forged which the ledger took later, and what is refused claims nothing', async () => {
    const { made, one, b } = await acts('signal.set_plan', 'last');
    expect(faultsOf(made.file())).toEqual([['LEDGER_ACT_CLAIMED', one.id]]);
    const three = await acts('signal.set_plan');
    const third = createStory(swarm).act([three.b.id]);
    three.made.enter(third, 'act');
    three.made.witness();
    expect(b.id).not.toBe(three.b.id);
    expect(faultsOf(three.made.file())).toEqual([['LEDGER_ACT_CLAIMED', three.two.id]]);
  });

  it('none claims under a certificate that was not issued: a thief could take every cause', async () => {
    for (const known of [false, true]) {
      const made = createIssued();
      const story = createStory(swarm);
      const cause = story.finding([]);
      await made.submit(cause, 'finding');
      if (known) made.state(issued(rogueAction));
      const honest = story.act([cause.id]);
      const { aud, sbj, rpl, knd, par, tool } = honest.claims;
      const draft = { aud, sbj, knd, par, payload: text('x') };
      const theft = signerOf(rogueAction).sign({
        ...draft,
        ...(rpl && { rpl }),
        ...(tool && { tool }),
      });
      made.enter(theft, 'x');
      made.enter(honest, 'act');
      made.witness();
      expect(faultsOf(made.file(), pinned())).toEqual([
        known ? ['LEDGER_ACT_CLAIMED', honest.id] : ['EVIDENCE_ISSUANCE_MISSING', theft.id],
      ]);
    }
  });
});

describe('an act', () => {
  it('stands after its cause in the ledger; a finding need not', async () => {
    const story = createStory(swarm);
    const read = story.read();
    const finding = story.finding([read.id]);
    const act = story.act([finding.id]);
    const made = createEvidenceLedger(swarm);
    for (const record of [finding, read, act]) made.enter(record, undefined);
    made.witness();
    expect(judge(made.file({ action: act.id })).overall).toBe('proven');
    const early = createEvidenceLedger(swarm);
    for (const record of [read, act, finding]) early.enter(record, undefined);
    early.witness();
    expect(faultsOf(early.file({ action: act.id }))).toEqual([['LEDGER_PARENT_LATER', act.id]]);
    expect(judge(early.file({ action: act.id })).overall).toBe('forged');
  });
});

describe('an honest act', () => {
  it('is not accused by who moves its cause to another place in the file', async () => {
    const made = await createCase(swarm);
    made.witness();
    const parts = made.parts({ action: made.act.id });
    const isCause = (part: EvidencePart) =>
      part.kind === 'entry' && part.entry.id === made.finding.id;
    const moved = parts.filter(isCause).map((part): EvidencePart => {
      if (part.kind !== 'entry') return part;
      return { kind: 'entry', entry: { ...part.entry, leaf: { ...part.entry.leaf, index: 9 } } };
    });
    const file = formatEvidence([...parts.filter((part) => !isCause(part)), ...moved]);
    expect(faultsOf(file)).toEqual([['EVIDENCE_NOT_IN_LEDGER', made.finding.id]]);
    expect(judge(made.file({ action: made.act.id })).overall).toBe('proven');
  });
});

describe('a kind of record', () => {
  it.each([
    ['a root', 'root', 'analyzer'],
    ['a root', 'root', 'mcp'],
    ['a revocation', 'revoke', 'sensor'],
  ] as const)('%s (%s) is not for everybody: %s', (_name, knd, name) => {
    const made = createEvidenceLedger(swarm);
    const record = swarm.signer(name).sign(reading('x', { knd }));
    made.enter(record, 'x');
    made.witness();
    expect(faultsOf(made.file())).toEqual([['RECORD_KIND_NOT_ALLOWED', record.id]]);
    expect(judge(made.file()).overall).toBe('forged');
    // Where no members are pinned, nothing is known of roles.
    expect(judge(made.file(), trustOf(swarm)).overall).toBe('proven');
  });

  it('a root is for sensors, and every other kind for every member', () => {
    const made = createEvidenceLedger(swarm);
    made.enter(createStory(swarm).read(), 'reading');
    made.enter(swarm.signer('mcp').sign(reading('x', { knd: 'msg' })), 'x');
    made.witness();
    expect(judge(made.file()).overall).toBe('proven');
  });

  it('an acknowledgement says something, where its payload is shown', () => {
    const ack = (payload: Uint8Array) =>
      swarm.signer('analyzer').sign({
        aud: [IDS.sensor],
        sbj: 'north.ack.analyzer-analyzer-1.x',
        knd: 'ack',
        payload,
      });
    const honest = Buffer.from(
      encodeAck({
        type: 'refusal',
        code: 'RECORD_EXPIRED',
        presented_by: 'x',
        subject: 's',
        count: 1,
      }),
    ).toString('utf8');
    for (const [payload, found] of [
      [honest, []],
      ['{}', ['LEDGER_PAYLOAD_INVALID']],
    ] as const) {
      const made = createEvidenceLedger(swarm);
      made.enter(ack(text(payload)), payload);
      made.witness();
      expect(faultsOf(made.file()).map(([code]) => code)).toEqual(found);
      expect(judge(made.file({}, { withhold: () => true })).overall).toBe('proven');
    }
  });
});

describe('one number on two records', () => {
  const twinOf = (honest: SignedRecord, svid: X509Svid): SignedRecord =>
    signerOf(svid, honest.claims.sid).sign(reading('twin'));

  it.each(['twin', 'honest'] as const)(
    'accuses their sender only under certificates that were issued; entered first: %s',
    (first) => {
      for (const known of [false, true]) {
        const made = createIssued();
        if (known) made.state(issued(rogue));
        const honest = createStory(swarm).read();
        const twin = twinOf(honest, rogue);
        expect(twin.claims.seq).toBe(honest.claims.seq);
        const order = [honest, twin] as const;
        const [one, two] = first === 'honest' ? order : ([twin, honest] as const);
        made.enter(one, one === twin ? 'twin' : 'reading');
        made.enter(two, two === twin ? 'twin' : 'reading');
        made.witness();
        const verdict = judge(made.file(), pinned());
        expect(verdict.faults.map(({ code, id }) => [code, id])).toEqual([
          known ? ['LEDGER_EQUIVOCATION', two.id] : ['EVIDENCE_ISSUANCE_MISSING', twin.id],
        ]);
        expect(verdict.overall).toBe(known ? 'forged' : 'unverifiable');
      }
    },
  );

  it('as the ledger’s own proof of it accuses only so, too, and names the stranger', async () => {
    for (const known of [false, true]) {
      const fresh = createIssued();
      if (known) fresh.state(issued(rogue));
      const { read, finding, act } = await createCase(swarm);
      fresh.enter(read, 'reading');
      fresh.enter(finding, 'finding');
      fresh.enter(act, 'act');
      const twin = twinOf(read, rogue);
      fresh.enter(twin, 'twin', { type: 'equivocation', other: read.id });
      fresh.witness();
      const verdict = judge(fresh.file({ action: act.id }), pinned());
      expect(verdict.faults).toMatchObject([
        known
          ? { code: 'LEDGER_EQUIVOCATION', id: read.id }
          : { code: 'EVIDENCE_ISSUANCE_MISSING', id: twin.id, index: 6 },
      ]);
      expect(verdict.ancestry?.hops.map(({ verdict }) => verdict)).toEqual([
        'genuine',
        'genuine',
        known ? 'forged' : 'genuine',
      ]);
    }
  });

  it('after the certificate was revoked accuses nobody: its key may be a thief’s', () => {
    const made = createIssued();
    const honest = createStory(swarm).read();
    made.enter(honest, 'reading');
    const { thumbprint } = swarm.svid('sensor');
    made.state(signStatement({ kind: 'revocation', thumbprint, reason: 'stolen' }, [attester]));
    const twin = twinOf(honest, swarm.svid('sensor'));
    made.enter(twin, 'twin');
    made.witness();
    expect(faultsOf(made.file(), pinned())).toEqual([['RECORD_SVID_REVOKED', twin.id]]);
  });
});
