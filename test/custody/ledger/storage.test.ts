import { beforeEach, describe, expect, it } from 'vitest';
import { encodeAck, type RefusalPayload } from '#custody/ack.ts';
import { decodeEntry, encodeEntry } from '#custody/ledger/entry.ts';
import type { SignedRecord } from '#custody/record.ts';
import { createTestSwarm, IDS, type TestSwarm, text } from '../support.ts';
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

  it('that takes only the first of many keeps their order, and is asked for the rest again', async () => {
    const { state, stored } = test.storage;
    const records = ['a', 'b', 'c', 'd', 'e'].map((payload) => story.read(payload));
    const submitAll = () =>
      Promise.all(records.map((record, index) => submit(record, 'abcde'[index])));
    // The first round carries one entry, the second the other four.
    state.room = 3;
    const first = await submitAll();
    expect(first.map((outcome) => outcome.ok)).toEqual([true, true, true, false, false]);
    expect(test.ledger.durable()).toBe(3);
    state.room = Number.POSITIVE_INFINITY;
    expect((await submitAll()).every((outcome) => outcome.ok)).toBe(true);
    expect(test.ledger.durable()).toBe(5);
    expect([...stored.keys()]).toEqual(records.map(({ id }) => id));
    const again = createTestLedger(swarm).ledger;
    expect(await again.restore(stored.values())).toEqual({ ok: true, value: 5 });
    expect(again.durable()).toBe(5);
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
    const aud = ['spiffe://city.example/agent/analyzer/north/*'];
    const payload = encodeAck({
      type: 'ack',
      to: IDS.sensor,
      sid,
      aud,
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
    // A later ack may repeat the rejections of an earlier one; they count once.
    const more = encodeAck({
      type: 'ack',
      to: IDS.sensor,
      sid,
      aud,
      through: 5,
      session: sid,
      rejected: [1, 4],
    });
    const later = story.analyzer.sign({
      aud: [IDS.sensor],
      sbj: 'north.ack.analyzer-analyzer-1',
      knd: 'ack',
      payload: more,
    });
    const before = ledger.counts().acknowledged;
    await submit(later, Buffer.from(more).toString());
    expect([before, ledger.counts().acknowledged]).toEqual([1, 3]);
    expect(ledger.refusals()).toMatchObject([{ by: IDS.analyzer, refusal }]);
    expect(ledger.counts()).toMatchObject({
      entries: 7,
      records: { root: 2, msg: 1, act: 1, ack: 3, join: 0 },
      subjects: { reading: 2, finding: 1, mcp: 1, ack: 3 },
      acknowledged: 3,
      refusals: 4,
    });
  });
});
