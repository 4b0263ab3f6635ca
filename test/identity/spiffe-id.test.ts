import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  parseSpiffeId,
  pathOf,
  SPIFFE_ID_CODES,
  spiffeId,
  trustDomainOf,
} from '#identity/spiffe-id.ts';

const codeOf = (text: string) => {
  const parsed = parseSpiffeId(text);
  return parsed.ok ? 'OK' : parsed.code;
};
/** All of Latin-1, and characters that some reader folds, trims or splits at. */
const EVERY = [
  ...Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)),
  ...[
    '\u0130',
    '\u0131',
    '\u017f',
    '\u2024',
    '\u2028',
    '\u2044',
    '\u3002',
    '\uff0e',
    '\uff0f',
    '\uff41',
    '\ud83d\ude00',
    '\ud800',
    '\ufeff',
  ],
];
const letters = 'abcdefghijklmnopqrstuvwxyz';
const DOMAIN = new Set(`${letters}0123456789.-_`);
const SEGMENT = new Set(`${letters}${letters.toUpperCase()}0123456789.-_`);

describe('every character in its place', () => {
  test('trust domain: a-z 0-9 . - _ and nothing else (I-03)', () => {
    for (const one of EVERY) {
      if (one === '/') continue;
      const expected = DOMAIN.has(one) ? 'OK' : 'ID_TRUST_DOMAIN_INVALID';
      expect(codeOf(`spiffe://a${one}b/p`), JSON.stringify(one)).toBe(expected);
      expect(codeOf(`spiffe://a${one}b`), JSON.stringify(one)).toBe(expected);
    }
  });

  test('path segments: a-z A-Z 0-9 . - _ and nothing else (I-05)', () => {
    for (const one of EVERY) {
      const expected = SEGMENT.has(one) || one === '/' ? 'OK' : 'ID_PATH_INVALID';
      expect(codeOf(`spiffe://td/a${one}b`), JSON.stringify(one)).toBe(expected);
      if (one !== '/') expect(codeOf(`spiffe://td/x/a${one}b/y`)).toBe(expected);
    }
  });

  test('nothing before or behind: no blank, line end or byte order mark', () => {
    for (const one of EVERY) {
      expect(codeOf(`${one}spiffe://td/a`), JSON.stringify(one)).not.toBe('OK');
      const behind = codeOf(`spiffe://td/a${one}`);
      expect(behind, JSON.stringify(one)).toBe(SEGMENT.has(one) ? 'OK' : 'ID_PATH_INVALID');
    }
  });
});

describe('the shape', () => {
  test.each([
    ['spiffe://td/a', 'OK'],
    ['spiffe://td', 'OK'],
    ['spiffe://1.2.3.4/a', 'OK'],
    ['spiffe://-._/a', 'OK'],
    ['spiffe://td/...', 'OK'],
    ['spiffe://td/.a', 'OK'],
    ['spiffe://td/agent/sensor/north/cam-1', 'OK'],
    ['', 'ID_NOT_SPIFFE'],
    ['td/a', 'ID_NOT_SPIFFE'],
    ['spiffe:/td/a', 'ID_NOT_SPIFFE'],
    ['SPIFFE://td/a', 'ID_NOT_SPIFFE'],
    ['https://td/a', 'ID_NOT_SPIFFE'],
    ['spiffe://', 'ID_TRUST_DOMAIN_INVALID'],
    ['spiffe:///a', 'ID_TRUST_DOMAIN_INVALID'],
    ['spiffe://TD/a', 'ID_TRUST_DOMAIN_INVALID'],
    ['spiffe://td:80/a', 'ID_TRUST_DOMAIN_INVALID'],
    ['spiffe://u@td/a', 'ID_TRUST_DOMAIN_INVALID'],
    ['spiffe://[::1]/a', 'ID_TRUST_DOMAIN_INVALID'],
    ['spiffe://t%64/a', 'ID_TRUST_DOMAIN_INVALID'],
    ['spiffe://td?q', 'ID_TRUST_DOMAIN_INVALID'],
    ['spiffe://td/', 'ID_PATH_INVALID'],
    ['spiffe://td//a', 'ID_PATH_INVALID'],
    ['spiffe://td/a/', 'ID_PATH_INVALID'],
    ['spiffe://td/.', 'ID_PATH_INVALID'],
    ['spiffe://td/a/../b', 'ID_PATH_INVALID'],
    ['spiffe://td/%2e%2e/b', 'ID_PATH_INVALID'],
    ['spiffe://td/a?q=1', 'ID_PATH_INVALID'],
    ['spiffe://td/a#f', 'ID_PATH_INVALID'],
  ])('%j: %s (I-01, I-02, I-04, I-05, I-07)', (text, expected) => {
    expect(codeOf(text)).toBe(expected);
  });

  test('2,048 bytes and a trust domain of 255, not one more (I-06)', () => {
    const fill = (bytes: number) => `spiffe://td/${'a'.repeat(bytes - 'spiffe://td/'.length)}`;
    expect(codeOf(fill(2048))).toBe('OK');
    expect(codeOf(fill(2049))).toBe('ID_TOO_LONG');
    expect(codeOf(`spiffe://${'a'.repeat(255)}/x`)).toBe('OK');
    expect(codeOf(`spiffe://${'a'.repeat(256)}/x`)).toBe('ID_TRUST_DOMAIN_INVALID');
  });

  test('any text is answered with one of the codes; what is accepted falls apart and together', () => {
    const pieces = fc.constantFrom(
      'spiffe://',
      'td',
      '/',
      '.',
      '..',
      'a',
      'A',
      '%',
      '?',
      '#',
      ':',
      '@',
      ' ',
      '\n',
      '\0',
    );
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(pieces).map((list) => list.join('')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const parsed = parseSpiffeId(text);
        if (!parsed.ok) return SPIFFE_ID_CODES.includes(parsed.code);
        const { value } = parsed;
        return `spiffe://${trustDomainOf(value)}${pathOf(value)}` === text;
      }),
      { numRuns: 3000 },
    );
  });

  test('an ID that code spells wrongly is a bug', () => {
    expect(spiffeId('spiffe://td/a')).toBe('spiffe://td/a');
    expect(() => spiffeId('spiffe://td/')).toThrow('ID_PATH_INVALID');
  });
});
