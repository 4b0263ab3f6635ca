import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { createBatchCache } from '#custody/record/batch.ts';
import { checkRecord, type RecordFacts } from '#custody/record/check.ts';
import { parseRecord } from '#custody/record/parse.ts';
import { createReplayCache } from '#custody/record/replay.ts';
import { createSequenceTracker } from '#custody/record/sequence.ts';
import { createRecordSigner, type RecordDraft } from '#custody/record/sign.ts';
import type { SignedRecord } from '#custody/record.ts';
import { createTestLedger, submission } from '../ledger/support.ts';
import {
  createTestSwarm,
  IDS,
  malleate,
  reading,
  type TestSwarm,
  testClock,
  text,
} from '../support.ts';

let swarm: TestSwarm;
beforeAll(async () => {
  swarm = await createTestSwarm({ clock: testClock(Math.floor(Date.now() / 1000) * 1000) });
});

const drafts = (count: number): RecordDraft[] =>
  Array.from({ length: count }, (_, index) => reading(`reading ${index}`));
const batchOf = (count: number) => swarm.signer('sensor').signBatch(drafts(count));

function verified(name: 'sensor' | 'action' = 'sensor') {
  const svid = swarm.verify(swarm.svid(name).certificates, new Date(swarm.clock()));
  if (!svid.ok) throw new Error(svid.code);
  return svid.value;
}
function check(jws: string, facts: Partial<RecordFacts> = {}) {
  const record = parseRecord(jws);
  if (!record.ok) return record;
  return checkRecord(record.value, {
    svid: verified(),
    now: swarm.clock(),
    self: IDS.analyzer,
    ...facts,
  });
}
const code = (jws: string, facts: Partial<RecordFacts> = {}) => {
  const verdict = check(jws, facts);
  return verdict.ok ? 'ok' : verdict.code;
};

describe('a batch under one signature', () => {
  it.each([1, 2, 3, 7, 64, 65])('of %i records: each is accepted by itself', (count) => {
    const records = batchOf(count);
    const facts = {
      replays: createReplayCache({ clock: swarm.clock }),
      sequences: createSequenceTracker(),
      batches: createBatchCache(),
    };
    for (const [index, record] of records.entries()) {
      const payload = text(`reading ${index}`);
      const verdict = check(record.jws, { ...facts, payload, salt: record.salt });
      expect(verdict).toMatchObject({ ok: true, value: { id: record.id, gap: 0 } });
      expect(record.claims).toMatchObject({ seq: index + 1, rsq: index + 1 });
      expect(record.claims.prv).toBe(records[index - 1]?.id);
    }
    expect(new Set(records.map(({ jws }) => jws.split('~')[3])).size).toBe(1);
  });

  it('continues the counters of single records, and they its', () => {
    const signer = swarm.signer('sensor');
    const one = signer.sign(reading());
    const batch = signer.signBatch(drafts(2));
    const last = signer.sign(reading());
    const all = [one, ...batch, last];
    expect(all.map(({ claims }) => claims.seq)).toEqual([1, 2, 3, 4]);
    expect(all.map(({ claims }) => claims.prv)).toEqual([
      undefined,
      ...all.slice(0, 3).map(({ id }) => id),
    ]);
    expect(signer.signBatch([])).toEqual([]);
  });

  it('of which one draft breaks the profile uses up no number', () => {
    const signer = swarm.signer('sensor');
    expect(() => signer.signBatch([reading(), reading('x', { sbj: 'a b' })])).toThrow(
      'RECORD_CLAIM_INVALID',
    );
    expect(signer.sign(reading()).claims).toMatchObject({ seq: 1, rsq: 1 });
    expect(() => signer.signBatch(drafts(1025))).toThrow('at most 1024');
  });

  it('has its signature verified once by a receiver that remembers it', () => {
    const batches = createBatchCache();
    const [first, second] = batchOf(2);
    const altered = second?.jws.replace(/~1~.{4}/, '~1~AAAA') ?? '';
    const real = verified();
    const publicKey = vi.fn(() => real.leaf.publicKey);
    const leaf = Object.defineProperty(Object.create(real.leaf), 'publicKey', { get: publicKey });
    const facts = { batches, svid: { ...real, leaf } };
    expect(code(first?.jws ?? '', facts)).toBe('ok');
    expect(code(second?.jws ?? '', facts)).toBe('ok');
    expect(publicKey).toHaveBeenCalledTimes(1);
    // The batch is known; that the record is in it is asked of every record.
    expect(code(altered, facts)).toBe('RECORD_SIGNATURE_INVALID');
  });

  it('that did not verify is not remembered, and the oldest is forgotten first', () => {
    const batches = createBatchCache(1);
    const signer = createRecordSigner({
      source: () => ({ ...swarm.svid('sensor'), key: swarm.svid('action').key }),
      clock: swarm.clock,
      random: randomBytes,
    });
    for (const { jws } of signer.signBatch(drafts(2))) {
      expect(code(jws, { batches })).toBe('RECORD_SIGNATURE_INVALID');
    }
    batches.add('a');
    batches.add('b');
    expect([batches.has('a'), batches.has('b')]).toEqual([false, true]);
  });
});

describe('a record of a batch has the verdict of a single one', () => {
  const parts = (record: SignedRecord | undefined) => record?.jws.split('~') ?? [];
  const join = (record: SignedRecord | undefined, changes: Record<number, string>) =>
    parts(record)
      .map((part, index) => changes[index] ?? part)
      .join('~');

  it('when it is genuine, expired, from the future, for others, replayed, or its payload altered', () => {
    const [record] = batchOf(5);
    if (record === undefined) return;
    const replays = createReplayCache({ clock: swarm.clock });
    expect(code(record.jws, { replays })).toBe('ok');
    expect(code(record.jws, { replays })).toBe('RECORD_REPLAYED');
    expect(code(record.jws, { now: swarm.clock() + 31_000 })).toBe('RECORD_EXPIRED');
    expect(code(record.jws, { now: swarm.clock() - 6_000 })).toBe('RECORD_FROM_FUTURE');
    expect(code(record.jws, { self: IDS.action })).toBe('RECORD_AUDIENCE_MISMATCH');
    expect(code(record.jws, { subject: 'x.y.z' })).toBe('RECORD_SUBJECT_MISMATCH');
    expect(code(record.jws, { payload: text('x'), salt: record.salt })).toBe(
      'RECORD_PAYLOAD_MISMATCH',
    );
    expect(code(record.jws, { svid: verified('action') })).toBe('RECORD_CHAIN_MISMATCH');
    expect(code(record.jws, { isRevoked: () => true })).toBe('RECORD_SVID_REVOKED');
  });

  it('when it is put where another stands, or under another batch', () => {
    const [first, second] = batchOf(5);
    const [other] = batchOf(5);
    expect(code(join(first, { 1: '1' }))).toBe('RECORD_SIGNATURE_INVALID');
    expect(code(join(first, { 1: '5' }))).toBe('RECORD_SIGNATURE_INVALID');
    expect(code(join(first, { 0: parts(second)[0] ?? '' }))).toBe('RECORD_SIGNATURE_INVALID');
    expect(code(join(first, { 2: parts(second)[2] ?? '' }))).toBe('RECORD_SIGNATURE_INVALID');
    expect(code(join(first, { 2: '' }))).toBe('RECORD_SIGNATURE_INVALID');
    expect(code(join(first, { 3: parts(other)[3] ?? '' }))).toBe('RECORD_SIGNATURE_INVALID');
  });

  it('keeps its id when the signature of the batch is rewritten', () => {
    const [record] = batchOf(3);
    const verdict = check(malleate(record?.jws ?? ''));
    expect(verdict).toMatchObject({ ok: true, value: { id: record?.id } });
    expect(verdict.ok && verdict.value.jws).not.toBe(record?.jws);
  });

  it('is no record without its batch, and the batch no record without it', () => {
    const [record] = batchOf(3);
    const [claims = '', , , batch = ''] = parts(record);
    expect(code(batch)).toBe('RECORD_TYP_INVALID');
    const [header = '', , signature = ''] = batch.split('.');
    expect(code(`${header}.${claims}.${signature}`)).toBe('RECORD_TYP_INVALID');
    const single = swarm.signer('sensor').sign(reading());
    expect(code(join(record, { 3: single.jws }))).toBe('RECORD_TYP_INVALID');
  });

  it('with any one character altered is refused, and nothing throws', () => {
    const [, record] = batchOf(3);
    const jws = record?.jws ?? '';
    fc.assert(
      fc.property(fc.nat({ max: jws.length - 1 }), fc.constantFrom(...'A~._-0é '), (at, letter) => {
        if (jws[at] === letter) return true;
        return !check(`${jws.slice(0, at)}${letter}${jws.slice(at + 1)}`).ok;
      }),
      { numRuns: 400 },
    );
    fc.assert(fc.property(fc.string(), (noise) => !check(`${noise}~${noise}~~${jws}`).ok));
  });

  it('is taken by the ledger, stored, and read again', async () => {
    const { ledger, storage } = createTestLedger(swarm);
    const records = batchOf(3);
    for (const [index, record] of records.entries()) {
      expect(await ledger.submit(submission(record, `reading ${index}`))).toMatchObject({
        ok: true,
      });
    }
    const { ledger: again } = createTestLedger(swarm);
    expect(await again.restore(storage.stored.values())).toMatchObject({ ok: true, value: 3 });
    for (const { id, jws } of records) {
      expect(again.get(id)?.record).toEqual(ledger.get(id)?.record);
      expect(again.get(id)?.record.jws).toBe(jws);
      expect(check(again.get(id)?.record.jws ?? '').ok).toBe(true);
    }
  });

  it('may be signed by hand as little as a single one', () => {
    const signer = createRecordSigner({
      source: () => ({ ...swarm.svid('sensor'), key: swarm.svid('action').key }),
      clock: swarm.clock,
      random: randomBytes,
    });
    expect(code(signer.signBatch(drafts(2))[1]?.jws ?? '')).toBe('RECORD_SIGNATURE_INVALID');
  });
});
