import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  readBoolean,
  readDer,
  readDerList,
  readInteger,
  readNamedBits,
  readOid,
  readSmallInteger,
  readTime,
} from '#identity/x509/der.ts';
import { der, oid } from '../support/der-edit.ts';

const node = (hex: string) => readDer(Buffer.from(hex, 'hex'));

describe('one encoding per value', () => {
  test.each([
    ['short form', '0400', '0400ff'],
    ['two-octet length', `048180${'00'.repeat(128)}`, `04820080${'00'.repeat(128)}`],
    ['one-octet length', '040100', '04810100'],
    ['low tag number', '0400', '1f0400'],
    ['definite length', '3000', '30800000'],
    ['whole value', '040100', '0402ff'],
  ])('%s', (_what, good, bad) => {
    expect(node(good)).toBeDefined();
    expect(node(bad)).toBeUndefined();
  });

  test('a length beyond 16 MiB is refused before anything is kept', () => {
    expect(node('0484ffffffff')).toBeUndefined();
  });

  test.each([
    [readBoolean, '0101ff', '010101'],
    [readInteger, '02020080', '02020001'],
    [readInteger, '0202ff7f', '0202ff80'],
    [readInteger, '020100', '0200'],
    [readSmallInteger, '02047fffffff', '020500ffffffff'],
    [readSmallInteger, '020100', '0201ff'],
    [readOid, '0603551d11', '0604551d8011'],
    [readOid, '0601 2a'.replace(' ', ''), '0600'],
    [readOid, '0603551d11', '060355 1d91'.replace(' ', '')],
    [readNamedBits, '03020780', '03020880'],
    [readNamedBits, '03020106', '03020206'],
    [readNamedBits, '030100', '030107'],
  ])('%o: %s, not %s', (read, good, bad) => {
    expect(read(node(good))).toBeDefined();
    expect(read(node(bad))).toBeUndefined();
  });

  test('years: UTCTime to 2049, GeneralizedTime from 2050 (RFC 5280, 4.1.2.5)', () => {
    const time = (tag: number, text: string) => readTime(readDer(der(tag, Buffer.from(text))));
    expect(time(0x17, '491231235959Z')?.toISOString()).toBe('2049-12-31T23:59:59.000Z');
    expect(time(0x17, '500101000000Z')?.getUTCFullYear()).toBe(1950);
    expect(time(0x18, '20500101000000Z')?.getUTCFullYear()).toBe(2050);
    expect(time(0x18, '99991231235959Z')?.getUTCFullYear()).toBe(9999);
    expect(time(0x18, '20491231235959Z')).toBeUndefined();
    expect(time(0x17, '300229000000Z')).toBeUndefined();
    expect(time(0x17, '280229000000Z')).toBeDefined();
    expect(time(0x17, '300101240000Z')).toBeUndefined();
  });
});

describe('any bytes', () => {
  test('what is read is what was written', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (value) => {
        expect(Buffer.from(readDer(der(4, value))?.value ?? [])).toEqual(Buffer.from(value));
      }),
    );
    const arcs = fc.array(fc.nat({ max: 2 ** 28 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(arcs, (rest) => {
        const dotted = ['1', '3', ...rest].join('.');
        expect(readOid(readDer(oid(dotted)))).toBe(dotted);
      }),
    );
  });

  test('nothing throws, and the parts of a list are the whole', () => {
    const readers = [readBoolean, readInteger, readNamedBits, readOid, readSmallInteger, readTime];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const list = readDerList(bytes, 16);
        if (list !== undefined) {
          expect(Buffer.concat(list.map(({ raw }) => raw))).toEqual(Buffer.from(bytes));
          for (const read of readers) for (const one of list) read(one);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('a list longer than its limit is refused', () => {
    expect(readDerList(Buffer.from('05000500', 'hex'), 2)).toHaveLength(2);
    expect(readDerList(Buffer.from('050005000500', 'hex'), 2)).toBeUndefined();
  });
});
