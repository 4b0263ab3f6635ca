import { beforeEach, describe, expect, it } from 'vitest';
import { encodeAck, type RefusalPayload } from '#custody/ack.ts';
import { decodeEntry, encodeEntry } from '#custody/ledger/entry.ts';
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
import { createMemoryStorage, createStory, createTestLedger, submission } from './support.ts';

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
    const end = new Date(Math.floor(clock() / 1000) * 1000 + 1000);
    const svid = await swarm.ca.issue(IDS.sensor, { notAfter: end });
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

describe('equivocation', () => {
  it('is recorded once, with both records, and names the sender', async () => {
    const session = Buffer.alloc(16, 7).toString('base64url');
    const twin = () =>
      createRecordSigner({
        source: () => swarm.svid('sensor'),
        clock: swarm.clock,
        random: (size) => crypto.getRandomValues(new Uint8Array(size)),
        session,
      });
    const [one, two, three] = [twin(), twin(), twin()].map(({ sign }) => sign(reading('x')));
    if (!one || !two || !three) throw new Error('no records');
    expect(await submit(one, 'x')).toMatchObject({ ok: true });
    expect(await submit(two, 'x')).toMatchObject({ code: 'LEDGER_EQUIVOCATION' });
    expect(await submit(three, 'x')).toMatchObject({ code: 'LEDGER_EQUIVOCATION' });
    expect(test.ledger.equivocations()).toMatchObject([
      { index: 1, other: one.id, record: { id: two.id, claims: { iss: IDS.sensor, seq: 1 } } },
    ]);
    expect(test.ledger.get(two.id)).toBeUndefined();
    expect(test.ledger.counts()).toMatchObject({ entries: 2, equivocations: 1 });
  });
});

describe('an act', () => {
  it('is accepted once per cause and tool', async () => {
    const cause = story.finding([]);
    await submit(cause, 'finding');
    const first = story.act([cause.id]);
    expect(await submit(first, 'act')).toMatchObject({ ok: true });
    const second = story.act([cause.id]);
    expect(await submit(second, 'act')).toMatchObject({ code: 'LEDGER_ACT_CLAIMED' });
    const other = story.act([cause.id], 'act', 'valve.status');
    expect(await submit(other, 'act')).toMatchObject({ ok: true });
  });

  it('claims all of its causes: one more cause does not make it another', async () => {
    const [a, b] = [story.finding([]), story.finding([])];
    for (const cause of [a, b]) await submit(cause, 'finding');
    await submit(story.act([a.id]), 'act');
    const wider = await submit(story.act([b.id, a.id]), 'act');
    expect(wider).toMatchObject({ code: 'LEDGER_ACT_CLAIMED' });
  });

  it('waits for its cause, which must have been addressed to it', async () => {
    const cause = story.finding([]);
    const act = story.act([cause.id]);
    expect(await submit(act, 'act')).toMatchObject({ code: 'LEDGER_PARENT_UNKNOWN' });
    await submit(cause, 'finding');
    expect(await submit(act, 'act')).toMatchObject({ ok: true });
    // The reading went to analyzers: the action agent cannot have received it.
    const read = story.read();
    await submit(read, 'reading');
    const unheard = await submit(story.act([read.id]), 'act');
    expect(unheard).toMatchObject({ code: 'LEDGER_PARENT_NOT_RECEIVED' });
  });

  it('does not precede its cause', async () => {
    const early = story.act;
    swarm.clock.advance(4_000);
    const cause = story.finding([]);
    swarm.clock.advance(-4_000);
    await submit(cause, 'finding');
    swarm.clock.advance(-2_000);
    const act = early([cause.id]);
    swarm.clock.advance(2_000);
    expect(await submit(act, 'act')).toMatchObject({ code: 'LEDGER_PARENT_LATER' });
  });
});

describe('storage', () => {
  it('that does not answer loses nothing and doubles nothing', async () => {
    const { state, stored } = test.storage;
    const [first, second] = [story.read('a'), story.read('b')];
    for (const fail of ['before', 'after'] as const) {
      state.fail = fail;
      expect(await submit(first, 'a')).toMatchObject({ code: 'LEDGER_STORAGE_FAILED' });
    }
    state.fail = 'no';
    // The entry in doubt is settled first, with the bytes it had; then the next one comes.
    expect(await submit(second, 'b')).toMatchObject({ value: { index: 1 } });
    expect(await submit(first, 'a')).toMatchObject({ value: { index: 0, duplicate: true } });
    expect([...stored.keys()]).toEqual([first.id, second.id]);
  });

  it('gives back the same ledger', async () => {
    const cause = story.finding([story.read().id]);
    await submit(cause, 'finding');
    await submit(story.act([cause.id]), 'act');
    await submit(story.read(), 'other');
    await test.ledger.flush({ all: true });
    const again = createTestLedger(swarm);
    const entries = [...test.storage.stored.values()];
    expect(await again.ledger.restore(entries)).toEqual({ ok: true, value: 3 });
    expect(again.ledger.list()).toEqual(test.ledger.list());
    expect(again.ledger.counts()).toEqual(test.ledger.counts());
    const second = await again.ledger.submit(submission(story.act([cause.id]), 'act'));
    expect(second).toMatchObject({ code: 'LEDGER_ACT_CLAIMED' });
    const next = submission(story.finding([]), 'finding', {});
    expect(await again.ledger.submit(next)).toMatchObject({ value: { index: 3 } });
  });

  it('is not believed when an entry is missing, moved or malformed', async () => {
    for (const payload of ['a', 'b', 'c']) await submit(story.read(payload), payload);
    const [a, b, c] = [...test.storage.stored.values()] as [Uint8Array, Uint8Array, Uint8Array];
    const restore = (...entries: Uint8Array[]) => createTestLedger(swarm).ledger.restore(entries);
    expect(await restore(a, b, c)).toMatchObject({ ok: true });
    expect(await restore(a, a, b, c)).toMatchObject({ ok: true, value: 3 });
    for (const entries of [
      [a, c],
      [b, a],
      [text('{}')],
      [text('x')],
      [text(` ${Buffer.from(a)}`)],
    ]) {
      expect(await restore(...entries)).toMatchObject({ code: 'LEDGER_ENTRY_INVALID' });
    }
  });

  it('holds versioned canonical bytes that decode to the entry and encode to themselves', async () => {
    await submit(story.read(), 'reading');
    await submit(story.read(''), '');
    for (const bytes of test.storage.stored.values()) {
      const entry = decodeEntry(bytes);
      if (!entry.ok) throw new Error(entry.detail);
      expect(Buffer.from(encodeEntry(entry.value))).toEqual(bytes);
      expect(JSON.parse(Buffer.from(bytes).toString())).toMatchObject({ v: 1, type: 'record' });
    }
    expect(createMemoryStorage().stored.size).toBe(0);
  });
});

describe('queries', () => {
  it('find by prefix, list by kind and sender, walk both ways, count', async () => {
    const reads = [story.read('1'), story.read('2')];
    for (const [index, read] of reads.entries()) await submit(read, String(index + 1));
    const finding = story.finding(reads.map(({ id }) => id));
    await submit(finding, 'finding');
    const act = story.act([finding.id]);
    await submit(act, 'act');
    const sid = story.sensor.session;
    const payload = encodeAck({
      type: 'ack',
      to: IDS.sensor,
      sid,
      through: 2,
      session: sid,
      rejected: [1],
    });
    const refusal: RefusalPayload = {
      type: 'refusal',
      code: 'RECORD_REPLAYED',
      presented_by: 'sensor-cam-1',
      subject: 'x',
      count: 4,
    };
    for (const bytes of [payload, encodeAck(refusal)]) {
      const ack = story.analyzer.sign({
        aud: [IDS.sensor],
        sbj: 'north.ack.analyzer-analyzer-1',
        knd: 'ack',
        payload: bytes,
      });
      expect(await submit(ack, Buffer.from(bytes).toString())).toMatchObject({ ok: true });
    }
    const { ledger } = test;
    expect(ledger.find(finding.id.slice(0, 12)).map(({ record }) => record.id)).toEqual([
      finding.id,
    ]);
    expect(ledger.find('').length).toBe(6);
    expect(ledger.list({ kind: 'root' }).map(({ index }) => index)).toEqual([0, 1]);
    expect(ledger.list({ since: 1, iss: IDS.sensor }).map(({ index }) => index)).toEqual([1]);
    expect(ledger.list({ limit: 2 }).map(({ index }) => index)).toEqual([0, 1]);
    expect(ledger.parents(finding.id).map(({ record }) => record.id)).toEqual(
      reads.map(({ id }) => id),
    );
    expect(ledger.children(finding.id).map(({ record }) => record.id)).toEqual([act.id]);
    expect(ledger.ancestry(act.id).map(({ id }) => id)).toEqual([
      act.id,
      finding.id,
      ...reads.map(({ id }) => id),
    ]);
    expect(ledger.parentFaults(act.id)).toEqual([]);
    expect(ledger.refusals()).toMatchObject([{ by: IDS.analyzer, refusal }]);
    expect(ledger.counts()).toMatchObject({
      entries: 6,
      records: { root: 2, msg: 1, act: 1, ack: 2, join: 0 },
      subjects: { reading: 2, finding: 1, mcp: 1, ack: 2 },
      acknowledged: 1,
      refusals: 4,
    });
  });
});
