import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBase64, decodeBase64Url, encodeBase64Url, is128Bits } from '#custody/base64url.ts';
import { canonicalise, canonicalText, isCanonical } from '#custody/canonical.ts';

describe('canonical JSON (RFC 8785)', () => {
  it('sorts members by UTF-16 code units, as the example of 3.2.3 does', () => {
    // From the RFC: euro, carriage return, aleph with dalet, one, control, o with diaeresis, emoji.
    const members = ['\u20ac', '\r', '\ufb33', '1', '\u0080', '\u00f6', '\ud83d\ude00'];
    const value = Object.fromEntries(members.map((name) => [name, name]));
    expect(Object.keys(JSON.parse(canonicalText(value)))).toEqual([
      '1',
      '\r',
      '\u0080',
      '\u00f6',
      '\u20ac',
      '\ud83d\ude00',
      '\ufb33',
    ]);
  });

  it('escapes only what 3.2.2.2 escapes', () => {
    expect(canonicalise('\u20ac$\u000f\nA\'B"\\\\"/')).toBe('"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"');
  });

  it('writes the value set and nothing else', () => {
    expect(canonicalise({ b: [1, -2, 'x', false], a: {} })).toBe('{"a":{},"b":[1,-2,"x",false]}');
    for (const outside of [
      1.5,
      2 ** 53,
      Number.NaN,
      true,
      null,
      undefined,
      [undefined],
      { a: undefined },
      '\ud800',
      { '\udc00': 1 },
      new Date(0),
      new Map(),
      () => 1,
      1n,
      JSON.parse(`${'['.repeat(50)}${']'.repeat(50)}`),
    ]) {
      expect(canonicalise(outside)).toBeUndefined();
    }
  });

  it('gives a text that parses to the same value and is its own canonical form', () => {
    const values = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small', maxDepth: 4 },
        fc.string({ unit: 'binary' }),
        fc.maxSafeInteger().map((n) => (Object.is(n, -0) ? 0 : n)),
        fc.constant(false as const),
        fc.array(tie('value')),
        fc.dictionary(fc.string({ unit: 'binary' }), tie('value')),
      ),
    })).value;
    fc.assert(
      fc.property(values, (value) => {
        const text = canonicalise(value);
        if (text === undefined) throw new Error('outside the set');
        expect(JSON.stringify(JSON.parse(text))).toBeDefined();
        expect(canonicalise(JSON.parse(text))).toBe(text);
        expect(isCanonical(JSON.parse(text), text)).toBe(true);
      }),
    );
  });

  it.each([
    '{"b":1,"a":2}',
    '{"a":1,"a":1}',
    '{"a": 1}',
    '{"a":1.0}',
    '{"a":1e3}',
    '{"a":-0}',
    '{"a":0.5}',
    '{"a":null}',
    '{"a":true}',
    '{"a":9007199254740993}',
    '{"a":"\\u0041"}',
    '{"a":"\\ud800"}',
    '{"\\ud800":1}',
    '{"a":"\\/"}',
    '{"9":1,"10":1}',
    `${'['.repeat(50)}${']'.repeat(50)}`,
  ])('is not the one spelling: %s', (text) => {
    expect(isCanonical(JSON.parse(text), text)).toBe(false);
  });

  it('knows the one spelling also where an object has it in another order', () => {
    for (const text of ['{"10":1,"9":1}', '{"__proto__":1,"a":2}', '{"a":[{"b":"","c":-1}]}']) {
      expect(isCanonical(JSON.parse(text), text)).toBe(true);
    }
  });
});

describe('base64url', () => {
  it('round trips, and refuses each other spelling of the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const text = encodeBase64Url(bytes);
        expect(decodeBase64Url(text)).toEqual(Buffer.from(bytes));
        for (const other of [`${text}=`, ` ${text}`, `${text}\n`, `${text}+`]) {
          expect(decodeBase64Url(other)).toBeUndefined();
        }
      }),
    );
  });

  it('refuses spare bits that are not zero', () => {
    expect(decodeBase64Url('AA')).toEqual(Buffer.from([0]));
    for (const text of ['AB', 'AAB', 'A']) expect(decodeBase64Url(text)).toBeUndefined();
    expect(is128Bits(`${'A'.repeat(21)}A`)).toBe(true);
    expect(is128Bits(`${'A'.repeat(21)}B`)).toBe(false);
    expect(decodeBase64('AA==')).toEqual(Buffer.from([0]));
    for (const text of ['AB==', 'AA', 'AA=', '', 'A_==']) {
      expect(decodeBase64(text)).toBeUndefined();
    }
  });
});
