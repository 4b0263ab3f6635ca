import { beforeEach, describe, expect, it } from 'vitest';
import { createRecordSigner } from '#custody/record/sign.ts';
import type { SignedRecord } from '#custody/record.ts';
import { createTestCa } from '#test/support/test-ca.ts';
import {
  createTestSwarm,
  forgeJws,
  IDS,
  malleate,
  reading,
  type TestSwarm,
  text,
} from '../support.ts';
import { createStory, createTestLedger, submission } from './support.ts';

let swarm: TestSwarm;
let test: ReturnType<typeof createTestLedger>;
let story: ReturnType<typeof createStory>;
beforeEach(async () => {
  swarm ??= await createTestSwarm();
  test = createTestLedger(swarm);
  story = createStory(swarm);
});
const submit = (record: SignedRecord, payload?: string, more = {}) =>
  test.ledger.submit(submission(record, payload, more));

describe('the ledger accepts', () => {
  it('records in the order of submission, with the payload or without it', async () => {
    const records = [story.read('a'), story.read('b'), story.read('c')];
    const results = await Promise.all([
      submit(records[0] as SignedRecord, 'a'),
      submit(records[1] as SignedRecord),
      submit(records[2] as SignedRecord, 'c', { chain: undefined }),
    ]);
    expect(results).toEqual(
      records.map(({ id }, index) => ({ ok: true, value: { id, index, duplicate: false } })),
    );
    const entries = test.ledger.list();
    expect(entries.map((entry) => entry.type === 'record' && entry.payload?.toString())).toEqual([
      'a',
      undefined,
      'c',
    ]);
    // The chain stands with the first record of its leaf, and only there.
    expect(entries.map((entry) => entry.type === 'record' && entry.chain !== undefined)).toEqual([
      true,
      false,
      false,
    ]);
    expect(test.ledger.chain(swarm.svid('sensor').thumbprint)).toEqual(records[0]?.chain);
  });

  it('bytes as its own: nothing of the message that brought them is kept, or changes them', async () => {
    const record = story.read('reading');
    const message = Buffer.concat([Buffer.alloc(4096), text('reading')]);
    await submit(record, 'reading', { payload: message.subarray(4096) });
    message.fill(0);
    const entry = test.ledger.get(record.id);
    expect(entry?.payload?.toString()).toBe('reading');
    for (const bytes of [entry?.payload, entry?.salt, entry?.record.signature, entry?.chain?.[0]]) {
      expect(bytes?.buffer.byteLength).toBe(bytes?.length);
    }
  });

  it('a record once, also under a rewritten signature', async () => {
    const record = story.read();
    await submit(record, 'reading');
    for (const jws of [record.jws, malleate(record.jws)]) {
      const again = await submit(record, 'reading', { jws });
      expect(again).toEqual({ ok: true, value: { id: record.id, index: 0, duplicate: true } });
    }
    expect(test.storage.stored.size).toBe(1);
  });

  it('a record whose SVID has ended since it was issued', async () => {
    const clock = swarm.clock;
    const notBefore = new Date(clock() - 10_000);
    const notAfter = new Date(Math.floor(clock() / 1000) * 1000 + 1000);
    const svid = await swarm.ca.issue(IDS.sensor, { notBefore, notAfter });
    let iat = clock();
    const signer = createRecordSigner({
      source: () => svid,
      clock: () => iat,
      random: (size) => crypto.getRandomValues(new Uint8Array(size)),
    });
    const inTime = signer.sign(reading('x'));
    clock.advance(60_000);
    iat = clock();
    const late = signer.sign(reading('x'));
    expect(await submit(inTime, 'x')).toMatchObject({ ok: true });
    expect(await submit(late, 'x')).toMatchObject({ code: 'RECORD_SVID_NOT_VALID' });
    clock.advance(-60_000);
  });
});

describe('the ledger refuses', () => {
  it('a record that somebody else submits, and frames nobody', async () => {
    const record = story.read();
    const stolen = await submit(record, 'reading', { submittedBy: IDS.action });
    expect(stolen).toMatchObject({ code: 'LEDGER_NOT_OWN_RECORD' });
    await test.ledger.flush({ all: true });
    expect(test.ledger.refusals()).toMatchObject([
      { by: 'ledger', refusal: { presented_by: IDS.action, signed_by: IDS.sensor, count: 1 } },
    ]);
    expect(await submit(record, 'reading')).toMatchObject({ ok: true });
    // Nor is it a duplicate of a stranger's.
    const again = await submit(record, 'reading', { submittedBy: IDS.action });
    expect(again).toMatchObject({ code: 'LEDGER_NOT_OWN_RECORD' });
  });

  it('a record for another sender’s subject', async () => {
    const signer = story.sensor;
    const wrong = signer.sign(reading('x', { sbj: 'north.finding.analyzer-analyzer-1' }));
    expect(await submit(wrong, 'x')).toMatchObject({ code: 'LEDGER_SUBJECT_NOT_SENDERS' });
  });

  it('another payload, and one that is too large to carry', async () => {
    const record = story.read();
    expect(await submit(record, 'other')).toMatchObject({ code: 'RECORD_PAYLOAD_MISMATCH' });
    const large = 'x'.repeat(300_000);
    const big = story.read(large);
    expect(await submit(big, large)).toMatchObject({ code: 'RECORD_TOO_LARGE' });
    expect(await submit(big)).toMatchObject({ ok: true });
  });

  it('a salt of another length, so that what is stored can be read back', async () => {
    const record = story.read();
    for (const payload of ['reading', undefined]) {
      const short = await submit(record, payload, { salt: record.salt.subarray(0, 15) });
      expect(short).toMatchObject({ code: 'RECORD_SALT_INVALID' });
    }
    expect(await submit(record)).toMatchObject({ ok: true });
  });

  it('what comes on an odd subject, and can read its own report of it', async () => {
    for (const subject of ['', 'a\u001b[2J\n', '\ud800', 'ä'.repeat(9999)]) {
      await submit(story.read(), 'other', { subject });
      await test.ledger.flush({ all: true });
    }
    const again = createTestLedger(swarm).ledger;
    expect(await again.restore(test.storage.stored.values())).toEqual({ ok: true, value: 4 });
    expect(again.refusals().map(({ refusal }) => refusal.subject)).toEqual([
      '?',
      'a?[2J?',
      '?',
      '?'.repeat(512),
    ]);
  });

  it('an altered record, without naming a signer', async () => {
    const record = story.read();
    const svid = swarm.svid('sensor');
    const altered = forgeJws(
      { ...svid, key: swarm.svid('action').key },
      JSON.parse(JSON.stringify(record.claims)),
    );
    expect(await submit(record, 'reading', { jws: altered })).toMatchObject({
      code: 'RECORD_SIGNATURE_INVALID',
    });
    expect(await submit(record, 'reading', { jws: 'x' })).toMatchObject({
      code: 'RECORD_FORM_INVALID',
    });
    await test.ledger.flush({ all: true });
    const named = test.ledger.refusals().map(({ refusal }) => refusal.signed_by);
    expect(named).toEqual([undefined, undefined]);
  });

  it('our SPIFFE ID under a foreign authority', async () => {
    const thief = await createTestCa('city.example');
    const svid = await thief.issue(IDS.sensor);
    const signer = createRecordSigner({
      source: () => svid,
      clock: swarm.clock,
      random: (size) => new Uint8Array(size),
    });
    expect(await submit(signer.sign(reading('x')), 'x')).toMatchObject({
      code: 'RECORD_CHAIN_UNVERIFIED',
    });
  });

  it('a chain that is unknown, until it comes along', async () => {
    const record = story.read();
    const without = await submit(record, 'reading', { chain: undefined });
    expect(without).toMatchObject({ code: 'RECORD_CHAIN_UNKNOWN' });
    expect(await submit(record, 'reading')).toMatchObject({ ok: true });
  });

  it('to store a chain that it did not verify', async () => {
    // Refused for its payload, yet the chain was verified and is remembered.
    const record = story.read();
    await submit(record, 'other');
    const bogus = [...record.chain, text('not a certificate')];
    expect((await submit(record, 'reading', { chain: bogus })).ok).toBe(false);
    expect(test.ledger.chain(swarm.svid('sensor').thumbprint)).toBeUndefined();
  });

  it('a record from the future', async () => {
    swarm.clock.advance(60_000);
    const record = story.read();
    swarm.clock.advance(-60_000);
    expect(await submit(record, 'reading')).toMatchObject({ code: 'RECORD_FROM_FUTURE' });
  });

  it('kinds that the sender may not make', async () => {
    test = createTestLedger(swarm, { mayMake: (sender) => sender !== IDS.sensor });
    const refused = await submit(story.read(), 'reading');
    expect(refused).toMatchObject({ code: 'RECORD_KIND_NOT_ALLOWED' });
    expect(await submit(story.finding([]), 'finding')).toMatchObject({ ok: true });
  });

  it('an ack record whose payload is no acknowledgement', async () => {
    const draft = { aud: [IDS.sensor], sbj: 'north.ack.analyzer-analyzer-1', knd: 'ack' as const };
    const wrong = story.analyzer.sign({ ...draft, payload: text('ok') });
    expect(await submit(wrong, 'ok')).toMatchObject({ code: 'LEDGER_PAYLOAD_INVALID' });
  });

  it('a flood with one entry a second', async () => {
    const record = story.read();
    for (let n = 0; n < 50; n++) await submit(record, 'other');
    await test.ledger.flush();
    expect(test.ledger.size()).toBe(0);
    swarm.clock.advance(1000);
    await test.ledger.flush();
    expect(test.ledger.refusals()).toMatchObject([{ refusal: { count: 50 } }]);
    expect(test.ledger.counts().refusals).toBe(50);
  });
});
