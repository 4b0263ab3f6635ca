import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createStandingBook } from '#custody/log/standing.ts';
import { type Statement, signStatement } from '#custody/log/statement.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { noteSigner } from './support.ts';

const NOW = 1_700_000_000_000;
const attester = noteSigner('city.example/attester');
const ID = spiffeId('spiffe://city.example/agent/sensor/north/cam-1');
const OTHER = spiffeId('spiffe://city.example/agent/analyzer/north/analyzer-1');
const print = (name: string) => createHash('sha256').update(name).digest('base64url');
const certificate = { id: ID, thumbprint: print('leaf') };

function issuance(more: Partial<Extract<Statement, { kind: 'issuance' }>> = {}): Statement {
  const nbf = NOW / 1000 - 10;
  return {
    kind: 'issuance',
    ...certificate,
    serial: '0a',
    nbf,
    exp: nbf + 30,
    selectors: ['swarm:instance:sensor-cam-1'],
    ...more,
  };
}
const revocation = (thumbprint = certificate.thumbprint): Statement => ({
  kind: 'revocation',
  thumbprint,
  reason: 'entry removed',
});
const say = (statement: Statement, signer = attester) => signStatement(statement, [signer]);

function setUp(max?: number) {
  const time = { now: NOW };
  const book = createStandingBook({
    attesters: [attester.verifier],
    clock: () => time.now,
    ...(max !== undefined && { max }),
  });
  return { book, time };
}

describe('a certificate', () => {
  test('stands when the pinned attester has stated its issuance, for that identity alone', () => {
    const { book } = setUp();
    expect(book.judge(certificate)).toBe('unknown');
    expect(book.add([say(issuance())])).toBe(0);
    expect(book.judge(certificate)).toBe('standing');
    expect(book.judge({ ...certificate, id: OTHER })).toBe('unknown');
    expect(book.judge({ ...certificate, thumbprint: print('rogue') })).toBe('unknown');
  });

  test('does not stand by the word of anybody else, or by a statement that was altered', () => {
    const { book } = setUp();
    const stranger = say(issuance(), noteSigner('city.example/attester', 'note', 'thief'));
    const altered = say(issuance()).replace(ID, OTHER);
    expect(book.add([stranger, altered, 'no note'])).toBe(3);
    expect(book.judge(certificate)).toBe('unknown');
    expect(book.judge({ ...certificate, id: OTHER })).toBe('unknown');
    expect(book.notes()).toEqual([]);
  });

  test('has one identity: a later statement gives it no other', () => {
    const { book } = setUp();
    book.add([say(issuance()), say(issuance({ id: OTHER }))]);
    expect(book.judge(certificate)).toBe('standing');
    expect(book.judge({ ...certificate, id: OTHER })).toBe('unknown');
  });

  test('is revoked for good, whichever of its statements came first', () => {
    for (const order of [
      [say(issuance()), say(revocation())],
      [say(revocation()), say(issuance())],
    ]) {
      const { book } = setUp();
      book.add(order);
      book.add([say(issuance())]);
      expect(book.judge(certificate)).toBe('revoked');
      expect(book.notes()).toHaveLength(2);
    }
  });
});

describe('the book of statements', () => {
  test('tells who waits for a certificate, and only of that one', () => {
    const { book } = setUp();
    let told = 0;
    const stop = book.watch(certificate.thumbprint, () => {
      told += 1;
    });
    book.add([say(issuance({ thumbprint: print('another') }))]);
    expect(told).toBe(0);
    book.add([say(issuance())]);
    book.add([say(issuance())]);
    expect(told).toBe(1);
    stop();
    book.add([say(revocation())]);
    expect(told).toBe(1);
  });

  test('forgets what has ended, and does not take it in again', () => {
    const { book, time } = setUp();
    const note = say(issuance());
    book.add([note, say(revocation())]);
    time.now += 120_000;
    expect(book.notes()).toEqual([]);
    expect(book.add([note])).toBe(0);
    expect(book.notes()).toEqual([]);
    expect(book.judge(certificate)).toBe('unknown');
  });

  test('holds a bounded number, and never forgets a revocation before its issuance', () => {
    const { book } = setUp(4);
    book.add([say(issuance()), say(revocation())]);
    for (let count = 0; count < 10; count += 1) {
      book.add([say(revocation(print(`revoked ${count}`)))]);
      expect(book.judge(certificate)).not.toBe('standing');
    }
    expect(book.notes().length).toBeLessThanOrEqual(8);
  });
});
