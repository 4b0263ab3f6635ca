import { describe, expect, it } from 'vitest';
import {
  type AckPayload,
  encodeAck,
  parseAck,
  type RefusalPayload,
  signerKnown,
} from '#custody/ack.ts';
import { CUSTODY_CODES, RECORD_CODES } from '#custody/codes.ts';
import type { RecordId } from '#custody/record.ts';
import { createRefusalTally } from '#custody/refusals.ts';
import { IDS, testClock, text } from './support.ts';

const sid = 'A'.repeat(22);
const aud = ['spiffe://city.example/agent/analyzer/north/*'];
const ack: AckPayload = { type: 'ack', to: IDS.sensor, sid, aud, through: 9, session: sid };
const { aud: _aud, ...ofNoAudience } = ack;
const refusal: RefusalPayload = {
  type: 'refusal',
  code: 'RECORD_REPLAYED',
  presented_by: 'sensor-cam-1',
  signed_by: IDS.action,
  record: 'A'.repeat(43) as RecordId,
  subject: 'north.reading.sensor-cam-1',
  count: 3,
};

const namesOf = (count: number) => Array.from({ length: count }, (_, n) => `${IDS.action}${n}`);

describe('payloads of ack records', () => {
  it('come back as they went', () => {
    const { signed_by: _, record: __, ...stranger } = refusal;
    const exact = { ...ack, aud: [IDS.action, IDS.analyzer] };
    const many = { ...ack, aud: namesOf(16) };
    for (const payload of [ack, exact, many, { ...ack, rejected: [2, 9] }, refusal, stranger]) {
      expect(parseAck(encodeAck(payload))).toEqual({ ok: true, value: payload });
    }
  });

  it.each<[string, object]>([
    ['a foreign member', { ...ack, note: 'x' }],
    ['through below 1', { ...ack, through: 0 }],
    ['no audience', ofNoAudience],
    ['an empty audience', { ...ack, aud: [] }],
    ['an audience that is no list', { ...ack, aud: aud[0] }],
    ['an audience that is no SPIFFE ID', { ...ack, aud: ['north'] }],
    ['one of the audience twice', { ...ack, aud: [IDS.action, IDS.action] }],
    ['an audience of seventeen', { ...ack, aud: namesOf(17) }],
    ['a session that is not 128 bits', { ...ack, session: 'x' }],
    ['somebody who is not a workload', { ...ack, to: 'spiffe://city.example' }],
    ['rejections out of order', { ...ack, rejected: [3, 2] }],
    ['a rejection beyond through', { ...ack, rejected: [10] }],
    ['an empty list', { ...ack, rejected: [] }],
    ['an unknown type', { ...ack, type: 'nack' }],
    ['a refusal with the members of an ack', { ...refusal, through: 1 }],
    ['a code that is a sentence', { ...refusal, code: 'it failed' }],
    ['a presenter with control characters', { ...refusal, presented_by: 'a\u001b[2J' }],
    ['a subject with control characters', { ...refusal, subject: 'a\nb' }],
    ['count 0', { ...refusal, count: 0 }],
    ['a list', [ack]],
  ])('are refused with %s', (_name, payload) => {
    expect(parseAck(encodeAck(payload as AckPayload))).toMatchObject({ code: 'ACK_INVALID' });
  });

  it('fit with the longest audience of a record, and as many rejections as a receiver tells', () => {
    const long = Array.from(
      { length: 6 },
      (_, n) => `spiffe://city.example/${'x'.repeat(2000)}${n}`,
    );
    const most = Number.MAX_SAFE_INTEGER;
    const rejected = Array.from({ length: 512 }, (_, n) => most - 512 + n);
    const largest = { ...ack, aud: long, through: most, rejected };
    expect(parseAck(encodeAck(largest))).toEqual({ ok: true, value: largest });
    const more = { ...largest, to: IDS.sensor, aud: [...long, ...long.map((id) => `${id}x`)] };
    expect(parseAck(encodeAck(more))).toMatchObject({ code: 'ACK_INVALID' });
  });

  it('are refused in any spelling but the canonical one', () => {
    const spelt = Buffer.from(encodeAck(ack)).toString();
    const twice = spelt.replace('{', '{"through":1,');
    for (const other of [` ${spelt}`, twice, '', '{', 'null', 'x'.repeat(20_000)]) {
      expect(parseAck(text(other))).toMatchObject({ code: 'ACK_INVALID' });
    }
  });
});

describe('the tally of refusals', () => {
  const one = { code: 'RECORD_REPLAYED', presented_by: 'a', subject: 's' };

  it('counts what one presenter does to one signer in one second as one refusal', () => {
    const clock = testClock(10_000);
    const tally = createRefusalTally({ clock });
    for (let n = 0; n < 1000; n++) tally.add(one);
    tally.add({ ...one, signed_by: IDS.sensor });
    tally.add({ ...one, presented_by: 'b' });
    expect(tally.take()).toEqual([]);
    clock.advance(1000);
    tally.add(one);
    expect(tally.take().map(({ count }) => count)).toEqual([1000, 1, 1]);
    expect(tally.take({ all: true }).map(({ count }) => count)).toEqual([1]);
    expect(tally.take({ all: true })).toEqual([]);
  });
});

describe('the table of codes', () => {
  it('says in one sentence what each code means', () => {
    for (const { meaning } of Object.values(CUSTODY_CODES)) {
      expect(meaning).toMatch(/^[A-Z0-9][^.!?]*( [^.!?]+)*\.$/m);
    }
  });

  it('names the signer only for codes given after the signature', () => {
    const codes = Object.keys(RECORD_CODES);
    const after = codes.slice(codes.indexOf('RECORD_SIGNATURE_INVALID') + 1);
    expect(codes.filter(signerKnown)).toEqual(after);
    expect(signerKnown('toString')).toBe(false);
  });
});
