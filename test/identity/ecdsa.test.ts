import { generateKeyPairSync, sign, verify } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { signP256, verifyEcdsa } from '#identity/ecdsa.ts';

const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const text = Buffer.from('what is signed');

describe('signatures with r and s side by side (RFC 7518 3.4)', () => {
  test('are those that OpenSSL reads in this form, also where r or s is short', () => {
    const key = { key: p256.publicKey, dsaEncoding: 'ieee-p1363' } as const;
    let short = 0;
    for (let index = 0; short < 3; index += 1) {
      const input = Buffer.from(`${index}`);
      const signature = signP256(input, p256.privateKey);
      expect(signature).toHaveLength(64);
      expect(verify('sha256', input, key, signature)).toBe(true);
      if (signature[0] === 0 || signature[32] === 0) short += 1;
    }
  });

  test.each([
    ['P-256', 'sha256'],
    ['P-384', 'sha384'],
    ['P-521', 'sha512'],
  ])('of %s are read as OpenSSL writes them', (namedCurve, hash) => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve });
    for (let index = 0; index < 200; index += 1) {
      const input = Buffer.from(`${index}`);
      const signature = sign(hash, input, { key: privateKey, dsaEncoding: 'ieee-p1363' });
      expect(verifyEcdsa(hash, input, publicKey, signature)).toBe(true);
      expect(verifyEcdsa(hash, text, publicKey, signature)).toBe(false);
    }
  });

  test('are judged as OpenSSL judges any 64 octets', () => {
    const key = { key: p256.publicKey, dsaEncoding: 'ieee-p1363' } as const;
    const honest = signP256(text, p256.privateKey);
    const bytes = fc.uint8Array({ minLength: 64, maxLength: 64 });
    fc.assert(
      fc.property(
        bytes,
        fc.array(fc.boolean(), { minLength: 64, maxLength: 64 }),
        (noise, keep) => {
          const changed = honest.map((octet, at) => (keep[at] === true ? octet : (noise[at] ?? 0)));
          const theirs = verify('sha256', text, key, changed);
          expect(verifyEcdsa('sha256', text, p256.publicKey, changed)).toBe(theirs);
        },
      ),
      { numRuns: 200 },
    );
    for (const at of [0, 31, 32, 63]) {
      const changed = Buffer.from(honest);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(verifyEcdsa('sha256', text, p256.publicKey, changed)).toBe(false);
    }
    expect(verifyEcdsa('sha256', text, p256.publicKey, honest)).toBe(true);
  });

  test.each([0, 1, 63, 65, 134])('of %i octets are no signatures', (size) => {
    expect(verifyEcdsa('sha256', text, p256.publicKey, new Uint8Array(size))).toBe(false);
    expect(verifyEcdsa('sha256', text, p256.publicKey, new Uint8Array(64))).toBe(false);
  });
});
