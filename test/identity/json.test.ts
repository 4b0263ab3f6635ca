import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isJsonObject, readJson } from '#identity/json.ts';

const read = (text: string, more = {}) =>
  readJson(Buffer.from(text, 'utf8'), { maxBytes: 4096, ...more });
/** Without prototypes gone: for comparing with what `JSON.parse` makes. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('what is read', () => {
  test('any value comes back as it was written, however it is spaced', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(0, 1, '\t'), (value, space) => {
        const text = JSON.stringify(value, null, space);
        // A text with a lone surrogate is no text; fast-check makes none, but escapes may.
        if (text.isWellFormed()) expect(plain(read(text, { maxBytes: 1e6 }))).toEqual(plain(value));
      }),
      { numRuns: 500 },
    );
  });

  test('members called __proto__ and constructor are members, and nothing is inherited', () => {
    const value = read('{"__proto__":{"use":"jwt-svid"},"constructor":1}');
    expect(isJsonObject(value) && Object.keys(value)).toEqual(['__proto__', 'constructor']);
    expect(isJsonObject(value) && value.use).toBeUndefined();
  });

  test('an integer beyond a double is exact where that is asked for (B-01)', () => {
    expect(read('18446744073709551615', { bigints: true })).toBe(18446744073709551615n);
    expect(read('9007199254740991', { bigints: true })).toBe(9007199254740991);
    expect(read('18446744073709551615')).toBe(2 ** 64);
    expect(read('1e3', { bigints: true })).toBe(1000);
  });
});

describe('what is refused', () => {
  test.each([
    ['a name twice', '{"a":1,"a":1}', '{"a":1,"b":1}'],
    ['a name twice, once escaped', '{"a":1,"\\u0061":2}', '{"a":1,"\\u0062":2}'],
    ['a name twice further down', '[{"a":{"b":1,"b":2}}]', '[{"a":{"b":1},"b":2}]'],
    ['something behind', '{} {}', '{} '],
    ['nothing', ' ', '0'],
    ['a comma at the end', '[1,]', '[1,2]'],
    ['a comma at the end of an object', '{"a":1,}', '{"a":1}'],
    ['single quotes', "{'a':1}", '{"a":1}'],
    ['a comment', '/**/1', '1'],
    ['a leading zero', '01', '10'],
    ['a sign', '+1', '-1'],
    ['a bare point', '1.', '1.0'],
    ['a number beyond all', '1e999', '1e99'],
    ['NaN', 'NaN', 'null'],
    ['a control character in a text', '"\n"', '"\\n"'],
    ['half a surrogate pair', '"\\ud800"', '"\\ud83d\\ude00"'],
    ['an open text', '"a', '"a"'],
    ['an escape at the end', '"a\\', '"a\\\\"'],
    ['a byte order mark', '\ufeff{}', '{}'],
    ['a no-break space', '\u00a0{}', ' {}'],
    ['too deep', `${'['.repeat(33)}${']'.repeat(33)}`, `${'['.repeat(32)}${']'.repeat(32)}`],
    ['too long', `"${'a'.repeat(4095)}"`, `"${'a'.repeat(4094)}"`],
  ])('%s', (_what, bad, good) => {
    expect(read(bad)).toBeUndefined();
    expect(read(good)).not.toBeUndefined();
  });

  test('bytes that are not UTF-8', () => {
    for (const hex of ['22ff22', '22c08022', '22eda08022', '22f490808022']) {
      expect(readJson(Buffer.from(hex, 'hex'), { maxBytes: 100 })).toBeUndefined();
    }
  });

  test('whatever the bytes: none throws, and what is accepted JSON.parse accepts too', () => {
    const pieces = fc.constantFrom(
      ...'{}[]:,"\\ 0123456789.eE+-tfn'.split(''),
      'true',
      'null',
      '"a"',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
        const text = parts.join('');
        const value = read(text);
        if (value === undefined) return true;
        expect(plain(value)).toEqual(plain(JSON.parse(text)));
        return true;
      }),
      { numRuns: 5000 },
    );
  });
});
