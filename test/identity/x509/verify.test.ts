import { describe, expect, test } from 'vitest';
import { SVID_CODES } from '#identity/codes.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';
import { leafVectors } from '../support/cases-leaf.ts';
import { malformedVectors } from '../support/cases-malformed.ts';
import { pathVectors } from '../support/cases-path.ts';
import { bundlesOf, chainOf, readVectors, type Vector } from '../support/vectors.ts';

const vectors = readVectors();
const plain = vectors.find(({ name }) => name === 'OK.plain');

function judge(vector: Vector, chain = chainOf(vector)) {
  return verifyX509Svid(chain, bundlesOf(vector), new Date(vector.now));
}

/** Deterministic noise (mulberry32). */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('each vector is answered as its name says', () => {
  test.each(vectors)('$name ($clause)', (vector) => {
    const outcome = judge(vector);
    expect(outcome.ok ? 'OK' : outcome.code).toBe(vector.expected);
    if (outcome.ok) expect(outcome.value.id).toBe(vector.id);
    else expect(outcome.detail).not.toContain('\n');
  });

  test('the files are those that make-vectors writes', async () => {
    const cases = [await leafVectors(), await pathVectors(), await malformedVectors()].flat();
    const names = cases.map(({ expected, what }) => `${expected}.${what}`);
    expect(vectors.map(({ name }) => name).sort()).toEqual(names.sort());
  });

  test('every refusal code has a vector', () => {
    const seen = new Set<string>(vectors.map(({ expected }) => expected));
    expect(Object.keys(SVID_CODES).filter((code) => !seen.has(code))).toEqual([]);
  });
});

describe('what is said of an accepted chain', () => {
  test('serial, thumbprint and validity are those of the leaf', () => {
    if (plain === undefined) throw new Error('no plain vector');
    const outcome = judge(plain);
    if (!outcome.ok) throw new Error(outcome.code);
    const { leaf, serial, thumbprint, notBefore, notAfter } = outcome.value;
    expect(serial).toBe(leaf.serialNumber.toLowerCase());
    const hex = leaf.fingerprint256.replaceAll(':', '');
    expect(thumbprint).toBe(Buffer.from(hex, 'hex').toString('base64url'));
    expect(notBefore).toEqual(leaf.validFromDate);
    expect(notAfter).toEqual(leaf.validToDate);
  });

  test('a bundle filed under another name is not used (A 4.6)', () => {
    if (plain === undefined) throw new Error('no plain vector');
    const [bundle] = bundlesOf(plain).values();
    if (bundle === undefined) throw new Error('no bundle');
    const misfiled = new Map([['city.example', { ...bundle, trustDomain: 'other.example' }]]);
    const outcome = verifyX509Svid(chainOf(plain), misfiled, new Date(plain.now));
    expect(outcome).toMatchObject({ ok: false, code: 'SVID_TRUST_DOMAIN_UNKNOWN' });
  });
});

describe('a clock that is broken', () => {
  test('a time that is none accepts nothing (XV-01)', () => {
    if (plain === undefined) throw new Error('no plain vector');
    const at = (now: Date) => verifyX509Svid(chainOf(plain), bundlesOf(plain), now).ok;
    expect(at(new Date(plain.now))).toBe(true);
    expect(at(new Date(Number.NaN))).toBe(false);
  });
});

describe('hostile bytes', () => {
  const accepted = vectors.filter(({ expected }) => expected === 'OK');

  test('no single changed octet of an accepted leaf is accepted, and none throws', () => {
    const random = noise(20_300_615);
    for (const vector of accepted) {
      const [leaf, ...rest] = chainOf(vector);
      if (leaf === undefined) throw new Error('no leaf');
      for (let round = 0; round < 60; round += 1) {
        const at = Math.floor(random() * leaf.length);
        const copy = leaf.slice();
        copy[at] = (copy[at] ?? 0) ^ (1 + Math.floor(random() * 255));
        const outcome = judge(vector, [copy, ...rest]);
        expect(outcome.ok, `${vector.name}, octet ${at}`).toBe(false);
      }
    }
  });

  test('cut, repeated and random bytes are refused, and none throws', () => {
    const random = noise(7);
    for (const vector of vectors) {
      const [leaf = new Uint8Array(1)] = chainOf(vector);
      for (let round = 0; round < 8; round += 1) {
        const cut = Math.floor(random() * leaf.length);
        const junk = Uint8Array.from({ length: 40 }, () => Math.floor(random() * 256));
        for (const bytes of [
          leaf.slice(0, cut),
          leaf.slice(cut),
          junk,
          Buffer.concat([leaf, junk]),
        ]) {
          if (bytes.length !== leaf.length) expect(judge(vector, [bytes]).ok).toBe(false);
        }
      }
    }
  });
});
