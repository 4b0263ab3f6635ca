import { compactVerify, createLocalJWKSet, decodeJwt, type JWK, jwtVerify } from 'jose';
import { describe, expect, test } from 'vitest';
import { readBundleDocument, readBundleMap, type SpiffeBundle } from '#identity/bundle-document.ts';
import { BUNDLE_CODES, JWT_CODES } from '#identity/codes.ts';
import type { JwtBundleSet } from '#identity/jwt/bundle.ts';
import { validateJwtSvid } from '#identity/jwt/validate.ts';
import { parseSpiffeId, pathOf, SPIFFE_ID_CODES, trustDomainOf } from '#identity/spiffe-id.ts';
import { bundleCases } from './support/cases-bundle.ts';
import { idCases } from './support/cases-id.ts';
import { jwtCases } from './support/cases-jwt.ts';
import { vectorKeys } from './support/jwt-keys.ts';
import {
  type BundleVector,
  type IdVector,
  type JwtVector,
  type JwtVectorHead,
  readList,
} from './support/vectors.ts';

const names = (cases: readonly { expected: string; what: string }[]) =>
  cases.map(({ expected, what }) => `${expected}.${what}`);
/** Codes that no vector expects. */
const unseen = (codes: readonly string[], vectors: readonly { expected: string }[]) => {
  const seen = new Set(vectors.map(({ expected }) => expected));
  return codes.filter((code) => !seen.has(code));
};

describe('SPIFFE IDs', () => {
  const { vectors } = readList<IdVector>('spiffe-id.json');
  const judge = ({ hex }: IdVector) => {
    const parsed = parseSpiffeId(Buffer.from(hex, 'hex').toString('latin1'));
    if (!parsed.ok) return { expected: parsed.code };
    return {
      expected: 'OK',
      trustDomain: trustDomainOf(parsed.value),
      path: pathOf(parsed.value),
    };
  };

  test('every byte in every place is answered as its vector says (I-01, I-03, I-05)', () => {
    const sweep = vectors.filter(({ name }) => name.includes('.byte-'));
    expect(sweep.length).toBe(256 + 255 * 7);
    for (const vector of sweep) {
      const { hex: _hex, name, clause: _clause, ...rest } = vector;
      expect(judge(vector), name).toEqual(rest);
    }
  });

  test.each(vectors.filter(({ name }) => !name.includes('.byte-')))('$name ($clause)', (vector) => {
    const { hex: _hex, name: _name, clause: _clause, ...rest } = vector;
    expect(judge(vector)).toEqual(rest);
  });

  test('the file is what make-vectors writes, and every code is in it', () => {
    expect(vectors.map(({ name }) => name)).toEqual(names(idCases()));
    expect(unseen(SPIFFE_ID_CODES, vectors)).toEqual([]);
  });
});

describe('JWT-SVIDs', () => {
  const { vectors, ...head } = readList<JwtVector, JwtVectorHead>('jwt-svid.json');
  const now = new Date(head.now);
  const bundles: JwtBundleSet = new Map(
    Object.entries(head.bundles).map(([trustDomain, document]) => {
      const read = readBundleDocument(trustDomain, Buffer.from(JSON.stringify(document)));
      if (!read.ok) throw new Error(read.detail);
      return [trustDomain, read.value.jwt];
    }),
  );
  const judge = ({ token, audience = head.audience }: JwtVector) =>
    validateJwtSvid(token, { audience, bundles, now, leeway: head.leeway });

  test.each(vectors)('$name ($clause)', (vector) => {
    const outcome = judge(vector);
    expect(outcome.ok ? 'OK' : outcome.code).toBe(vector.expected);
    if (!outcome.ok) {
      expect(outcome.detail).not.toContain('\n');
      // A refusal is logged; a token in a log could be used.
      for (const part of vector.token.split('.')) {
        if (part.length > 8) expect(outcome.detail).not.toContain(part);
      }
    }
  });

  /** The library, given the keys of the token's own domain and the same algorithms. */
  async function joseSays(vector: JwtVector): Promise<'accepts' | 'rejects'> {
    const algorithms = ['RS', 'ES', 'PS'].flatMap((kind) =>
      [256, 384, 512].map((size) => kind + size),
    );
    try {
      const domain = new URL(String(decodeJwt(vector.token).sub)).host;
      const keys = (head.bundles[domain]?.keys ?? [])
        .filter(({ use }) => use === 'jwt-svid')
        .map(({ use: _use, ...key }): JWK => key);
      await jwtVerify(vector.token, createLocalJWKSet({ keys }), {
        algorithms,
        audience: vector.audience ?? head.audience,
        currentDate: now,
        requiredClaims: ['exp', 'aud', 'sub'],
      });
      return 'accepts';
    } catch {
      return 'rejects';
    }
  }

  test.each(vectors.filter(({ expected }) => expected === 'OK'))(
    'jose accepts $name too (J-01, J-03)',
    async (vector) => {
      expect(await joseSays(vector)).toBe('accepts');
    },
  );

  /** Rules of RFC 7515 and 7519, which both must have; the others are of the JWT-SVID alone. */
  const COMMON = new Set<string>([
    'JWT_ALGORITHM_NOT_ALLOWED',
    'JWT_AUDIENCE_MISMATCH',
    'JWT_AUDIENCE_MISSING',
    'JWT_EXPIRED',
    'JWT_EXPIRY_MISSING',
    'JWT_KEY_UNKNOWN',
    'JWT_KEY_UNSUITABLE',
    'JWT_NOT_YET_VALID',
    'JWT_SIGNATURE_INVALID',
    'JWT_TRUST_DOMAIN_UNKNOWN',
  ]);
  // Checked: an empty name is an audience to it.
  const OTHERWISE = ['JWT_AUDIENCE_MISMATCH.aud-empty-for-the-unnamed'];
  test.each(
    vectors.filter(({ expected, name }) => COMMON.has(expected) && !OTHERWISE.includes(name)),
  )('jose rejects $name too (JV-01, JV-02)', async (vector) => {
    expect(await joseSays(vector)).toBe('rejects');
  });

  test('leeway moves both ends of a life, by as much as is said (JV-02)', () => {
    const late = vectors.find(({ name }) => name === 'JWT_EXPIRED.exp-a-second-ago');
    const early = vectors.find(({ name }) => name === 'JWT_NOT_YET_VALID.nbf-in-a-second');
    const verdict = (vector: JwtVector | undefined, leeway: number) => {
      const token = vector?.token ?? '';
      const outcome = validateJwtSvid(token, { audience: 'reports', bundles, now, leeway });
      return outcome.ok ? 'OK' : outcome.code;
    };
    expect([verdict(late, 1), verdict(late, 2)]).toEqual(['JWT_EXPIRED', 'OK']);
    expect([verdict(early, 0.5), verdict(early, 1)]).toEqual(['JWT_NOT_YET_VALID', 'OK']);
  });

  test('a time or a leeway that is none accepts nothing (JV-02)', () => {
    const token = vectors.find(({ name }) => name === 'OK.ES256')?.token ?? '';
    const at = (time: Date, leeway: number) =>
      validateJwtSvid(token, { audience: 'reports', bundles, now: time, leeway }).ok;
    expect(at(now, 0)).toBe(true);
    expect([at(new Date(Number.NaN), 0), at(now, Number.NaN)]).toEqual([false, false]);
  });

  test('a bundle filed under another name is not used (JV-03, B-05)', () => {
    const token = vectors.find(({ name }) => name === 'OK.ES256')?.token ?? '';
    const own = bundles.get('city.example');
    if (own === undefined) throw new Error('no bundle');
    const misfiled = new Map([['city.example', { ...own, trustDomain: 'other.example' }]]);
    expect(validateJwtSvid(token, { audience: 'reports', bundles: misfiled, now })).toMatchObject({
      code: 'JWT_TRUST_DOMAIN_UNKNOWN',
    });
  });

  test('the signature of a token covers its exact bytes, as another library reads them (I-09)', async () => {
    const token = vectors.find(({ name }) => name === 'OK.ES256')?.token ?? '';
    const key = bundles.get('city.example')?.keys.get('k1');
    if (key === undefined) throw new Error('no key');
    const { payload } = await compactVerify(token, key);
    const [, body = ''] = token.split('.');
    expect(Buffer.from(payload).toString('base64url')).toBe(body);
  });

  test('the file is what make-vectors writes, and every code is in it', () => {
    expect(vectors.map(({ name }) => name)).toEqual(names(jwtCases(vectorKeys())));
    expect(unseen(Object.keys(JWT_CODES), vectors)).toEqual([]);
  });
});

describe('bundles', () => {
  const { vectors, trustDomain } = readList<BundleVector, { trustDomain: string }>('bundle.json');
  function judge({ kind, document }: BundleVector) {
    const bytes = Buffer.from(document);
    if (kind === 'map') return readBundleMap(bytes);
    const read = readBundleDocument(trustDomain, bytes);
    return read.ok ? ({ ok: true, value: new Map([[trustDomain, read.value]]) } as const) : read;
  }
  const taken = (bundles: ReadonlyMap<string, SpiffeBundle>) =>
    Object.fromEntries(
      [...bundles].map(([name, { x509, jwt }]) => [
        name,
        { x509: x509.authorities.length, jwt: [...jwt.keys.keys()] },
      ]),
    );

  test.each(vectors)('$name ($clause)', (vector) => {
    const outcome = judge(vector);
    expect(outcome.ok ? 'OK' : outcome.code).toBe(vector.expected);
    if (outcome.ok) expect(taken(outcome.value)).toEqual(vector.taken);
    else expect(outcome.detail).not.toContain('\n');
  });

  test('the file is what make-vectors writes, and every code is in it', async () => {
    expect(vectors.map(({ name }) => name)).toEqual(names(await bundleCases()));
    expect(unseen(Object.keys(BUNDLE_CODES), vectors)).toEqual([]);
  });
});

test('no file of vectors holds a private key', () => {
  for (const file of ['spiffe-id.json', 'jwt-svid.json', 'bundle.json']) {
    const text = JSON.stringify(readList(file));
    expect(text).not.toMatch(/"d"\s*:|PRIVATE KEY/);
  }
});
