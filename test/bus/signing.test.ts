import { describe, expect, test } from 'vitest';
import { BATCH_LIMIT, createSigning, type Signing } from '#bus/client/signing.ts';
import { parseRecord } from '#custody/record/parse.ts';
import { createRecordSigner, type RecordDraft } from '#custody/record/sign.ts';
import type { SignedRecord } from '#custody/record.ts';
import type { X509Svid } from '#identity/svid.ts';
import { MEMBERS, randomOf } from '#test/support/swarm.ts';
import { createTestCa } from '#test/support/test-ca.ts';

const ca = await createTestCa('city.example');
const svid = await ca.issue(MEMBERS.camera.id);

const draft = (text: string, more: Partial<RecordDraft> = {}): RecordDraft => ({
  aud: [MEMBERS.analyzer.id],
  sbj: 'north.reading.sensor-cam-1',
  knd: 'root',
  payload: Buffer.from(text),
  ...more,
});
const BROKEN = draft('x', { sbj: 'not a subject' });

/** Turns end when the test says so. */
function setUp(source: () => X509Svid = () => svid) {
  const ends: (() => void)[] = [];
  const signer = createRecordSigner({ source, clock: Date.now, random: randomOf });
  const signing = createSigning({ signer, defer: (work) => ends.push(work) });
  const sent: SignedRecord[] = [];
  const soon = (one: RecordDraft) => signing.soon(one, (record) => sent.push(record));
  const endTurn = () => {
    for (const end of ends.splice(0)) end();
  };
  return { signing, sent, soon, endTurn, ends };
}

const batchOf = ({ jws }: SignedRecord): string | undefined => {
  const record = parseRecord(jws);
  if (!record.ok) throw new Error(record.code);
  return record.value.batch?.jws;
};
const rsqs = (records: readonly SignedRecord[]) => records.map(({ claims }) => claims.rsq);

describe('signing', () => {
  test('one record alone in its turn is an ordinary JWS', async () => {
    const { soon, sent, endTurn } = setUp();
    const first = soon(draft('1'));
    endTurn();
    await first;
    void soon(draft('2'));
    endTurn();
    expect(sent.map(batchOf)).toEqual([undefined, undefined]);
    expect(rsqs(sent)).toEqual([1, 2]);
  });

  test('all that is asked for in one turn has one signature, in the order of asking', () => {
    const { soon, sent, endTurn, ends } = setUp();
    for (let n = 0; n < 10; n += 1) void soon(draft(String(n)));
    expect([sent.length, ends.length]).toEqual([0, 1]);
    endTurn();
    expect(rsqs(sent)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(new Set(sent.map(batchOf)).size).toBe(1);
    expect(batchOf(sent[0] as SignedRecord)).toBeDefined();
  });

  test('a batch has a bound; what is left alone behind it is an ordinary JWS', () => {
    const { soon, sent, endTurn } = setUp();
    for (let n = 0; n < 2 * BATCH_LIMIT + 1; n += 1) void soon(draft(String(n)));
    endTurn();
    const batches = sent.map(batchOf);
    expect(new Set(batches.slice(0, BATCH_LIMIT)).size).toBe(1);
    expect(new Set(batches).size).toBe(3);
    expect(batches.at(-1)).toBeUndefined();
    expect(rsqs(sent)).toEqual(sent.map((_, at) => at + 1));
  });

  test('what is signed at once goes behind what waited for it', () => {
    const { signing, soon, sent, endTurn } = setUp();
    void soon(draft('1'));
    void soon(draft('2'));
    const now = signing.now(draft('3'));
    expect(rsqs([...sent, now])).toEqual([1, 2, 3]);
    endTurn();
    expect(sent.length).toBe(2);
  });

  test('what asks again while it is sent has the turn after', () => {
    const { signing, sent, soon, endTurn } = setUp();
    void signing.soon(draft('1'), (record) => {
      sent.push(record);
      void soon(draft('3'));
    });
    void soon(draft('2'));
    endTurn();
    expect(rsqs(sent)).toEqual([1, 2]);
    endTurn();
    expect(rsqs(sent)).toEqual([1, 2, 3]);
  });

  test('a draft that breaks the profile is refused alone, and uses up no number', async () => {
    const { soon, sent, endTurn } = setUp();
    const outcomes = Promise.allSettled([soon(draft('1')), soon(BROKEN), soon(draft('2'))]);
    endTurn();
    expect((await outcomes).map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
    expect(rsqs(sent)).toEqual([1, 2]);
  });

  test('without an SVID everything is refused, and with one again the next is not', async () => {
    let gone = true;
    const { soon, sent, endTurn } = setUp(() => {
      if (gone) throw new Error('no SVID');
      return svid;
    });
    const outcomes = Promise.allSettled([soon(draft('1')), soon(draft('2'))]);
    endTurn();
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ reason: { message: 'no SVID' } });
    }
    gone = false;
    void soon(draft('3'));
    endTurn();
    expect(rsqs(sent)).toEqual([1]);
  });

  test('who cannot send its record keeps nobody else from sending', async () => {
    const { signing, soon, sent, endTurn } = setUp();
    const failing = signing.soon(draft('1'), () => {
      throw new Error('not sent');
    });
    void soon(draft('2'));
    const outcome = expect(failing).rejects.toThrow('not sent');
    endTurn();
    await outcome;
    expect(rsqs(sent)).toEqual([2]);
  });

  test('the turn is that of the event loop: messages of one turn, and not of two', async () => {
    const signer = createRecordSigner({ source: () => svid, clock: Date.now, random: randomOf });
    const signing: Signing = createSigning({ signer, defer: setImmediate });
    const send = (text: string) => signing.soon(draft(text), (record) => record);
    const [one, two] = await Promise.all([send('1'), Promise.resolve().then(() => send('2'))]);
    const three = await send('3');
    expect(batchOf(one)).toBe(batchOf(two));
    expect(batchOf(one)).toBeDefined();
    expect(batchOf(three)).toBeUndefined();
  });
});
