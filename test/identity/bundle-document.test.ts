import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  readBundleDocument,
  readBundleMap,
  refreshSeconds,
  type SpiffeBundle,
  writeBundleDocument,
} from '#identity/bundle-document.ts';
import { createRoot, type Issued } from './support/authority.ts';

const DOMAIN = 'city.example';
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
const ed25519 = generateKeyPairSync('ed25519').publicKey;
const jwk = ec.export({ format: 'jwk' });
const jwtKey = { ...jwk, use: 'jwt-svid', kid: 'k1' };
let root: Issued;
let other: Issued;
let x509Key: object;

beforeAll(async () => {
  // One whose two spellings in base64 differ: a test below needs that.
  do root = await createRoot(DOMAIN);
  while (root.der.toString('base64') === root.der.toString('base64url'));
  other = await createRoot(DOMAIN);
  x509Key = {
    ...root.publicKey.export({ format: 'jwk' }),
    use: 'x509-svid',
    x5c: [root.der.toString('base64')],
  };
});

const bytes = (document: unknown) =>
  Buffer.from(typeof document === 'string' ? document : JSON.stringify(document));
const read = (document: unknown) => readBundleDocument(DOMAIN, bytes(document));
function held(document: unknown): SpiffeBundle {
  const outcome = read(document);
  if (!outcome.ok) throw new Error(`${outcome.code}: ${outcome.detail}`);
  return outcome.value;
}
/** How many authorities of each kind, or the code. */
const counts = (document: unknown) => {
  const outcome = read(document);
  if (!outcome.ok) return outcome.code;
  return [outcome.value.x509.authorities.length, outcome.value.jwt.keys.size];
};

describe('a bundle document', () => {
  test('written and read again is the same; the order of authorities stays (B-01, B-03)', () => {
    const bundle: SpiffeBundle = {
      trustDomain: DOMAIN,
      x509: {
        trustDomain: DOMAIN,
        authorities: [root, other].map(({ der }) => new X509Certificate(der)),
      },
      jwt: {
        trustDomain: DOMAIN,
        keys: new Map([
          ['k1', ec],
          ['k2', rsa],
        ]),
      },
      sequence: 2n ** 64n - 1n,
      refreshHint: 300,
    };
    const text = writeBundleDocument(bundle);
    const again = held(text);
    expect(again.sequence).toBe(18446744073709551615n);
    expect(again.refreshHint).toBe(300);
    expect(again.x509.authorities.map(({ raw }) => raw)).toEqual([root.der, other.der]);
    expect(
      [...again.jwt.keys].map(([kid, key]) => [kid, key.equals(kid === 'k1' ? ec : rsa)]),
    ).toEqual([
      ['k1', true],
      ['k2', true],
    ]);
    expect(writeBundleDocument(again)).toBe(text);
    const keys: Record<string, unknown>[] = JSON.parse(text).keys;
    expect(keys.map(({ use, kid, x5c }) => [use, kid, Array.isArray(x5c) && x5c.length])).toEqual([
      ['x509-svid', undefined, 1],
      ['x509-svid', undefined, 1],
      ['jwt-svid', 'k1', false],
      ['jwt-svid', 'k2', false],
    ]);
    expect(keys.every(({ kty }) => typeof kty === 'string')).toBe(true);
    expect(keys.every(({ d }) => d === undefined)).toBe(true);
  });

  test('keys may be empty: nothing of the domain is trusted (B-01)', () => {
    expect(counts({ keys: [] })).toEqual([0, 0]);
    expect(counts({})).toBe('BUNDLE_MALFORMED');
    expect(counts({ keys: {} })).toBe('BUNDLE_MALFORMED');
    expect(counts({ keys: ['x'] })).toBe('BUNDLE_MALFORMED');
  });

  test('sequence is an integer of 64 bits, the hint whole seconds; neither is needed (B-01)', () => {
    const withSequence = (text: string) => counts(`{"spiffe_sequence":${text},"keys":[]}`);
    for (const good of ['0', '1', '9007199254740993', '18446744073709551615']) {
      expect(withSequence(good), good).toEqual([0, 0]);
    }
    expect(held('{"spiffe_sequence":9007199254740993,"keys":[]}').sequence).toBe(9007199254740993n);
    for (const bad of ['-1', '1.5', '18446744073709551616', '"1"', 'null', '1e30']) {
      expect(withSequence(bad), bad).toBe('BUNDLE_MALFORMED');
    }
    const withHint = (hint: unknown) => counts({ spiffe_refresh_hint: hint, keys: [] });
    expect(withHint(0)).toEqual([0, 0]);
    for (const bad of [-1, 1.5, '300', null]) expect(withHint(bad)).toBe('BUNDLE_MALFORMED');
    expect(held({ keys: [] })).not.toHaveProperty('sequence');
  });

  test('without a hint a consumer looks again after five minutes, never without a pause (B-07)', () => {
    expect(refreshSeconds(held({ keys: [] }))).toBe(300);
    expect(refreshSeconds(held({ keys: [], spiffe_refresh_hint: 60 }))).toBe(60);
    expect(refreshSeconds(held({ keys: [], spiffe_refresh_hint: 0 }))).toBe(1);
  });

  test('the two kinds stay apart: each key counts for its own use (B-02, C-06)', () => {
    expect(counts({ keys: [x509Key, jwtKey] })).toEqual([1, 1]);
    expect(counts({ keys: [{ ...x509Key, use: 'jwt-svid', kid: 'k' }] })).toEqual([0, 1]);
    expect(counts({ keys: [x509Key] })).toEqual([1, 0]);
  });

  test('a use is compared case-sensitively, and other uses are passed over (B-02, B-04)', () => {
    for (const use of ['X509-SVID', 'x509-svid ', 'wit-svid', 'sig', '', 7, null]) {
      expect(counts({ keys: [{ ...x509Key, use }, jwtKey] }), String(use)).toEqual([0, 1]);
    }
    const { use: _without, ...rest } = jwtKey;
    expect(counts({ keys: [rest, x509Key] })).toEqual([1, 0]);
  });

  test('an x509-svid key has one certificate and needs no kid; x5c missing is passed over (B-03, B-04)', () => {
    const { x5c: _without, ...rest } = x509Key as { x5c: string[] };
    expect(counts({ keys: [rest] })).toEqual([0, 0]);
    expect(counts({ keys: [{ ...x509Key, x5c: [] }] })).toEqual([0, 0]);
    const two = [root.der.toString('base64'), other.der.toString('base64')];
    expect(counts({ keys: [{ ...x509Key, x5c: two }] })).toEqual([1, 0]);
    expect(counts({ keys: [{ ...x509Key, x5c: [two[0], 'not even base64!'] }] })).toEqual([1, 0]);
  });

  test('an X.509 key that is not the one in its certificate is refused (B-03)', () => {
    expect(counts({ keys: [{ ...x509Key, ...jwk }] })).toBe('BUNDLE_KEY_INVALID');
    expect(counts({ keys: [{ ...x509Key, x5c: ['AAAA'] }] })).toBe('BUNDLE_KEY_INVALID');
    const url = root.der.toString('base64url');
    expect(counts({ keys: [{ ...x509Key, x5c: [url] }] })).toBe('BUNDLE_KEY_INVALID');
  });

  test('a jwt-svid key needs a kid of its own (B-03)', () => {
    const { kid: _without, ...rest } = jwtKey;
    expect(counts({ keys: [rest] })).toBe('BUNDLE_KEY_INVALID');
    expect(counts({ keys: [{ ...jwtKey, kid: '' }] })).toBe('BUNDLE_KEY_INVALID');
    expect(counts({ keys: [jwtKey, jwtKey] })).toBe('BUNDLE_KEY_INVALID');
    expect(counts({ keys: [jwtKey, { ...jwtKey, kid: 'k2' }] })).toEqual([0, 2]);
  });

  test('unknown key types and curves, and keys too weak, are passed over (B-04)', () => {
    const unknown = [
      { kty: 'AKP', alg: 'ML-DSA-65', pub: 'AA', use: 'jwt-svid', kid: 'a' },
      { kty: 'oct', k: 'AA', use: 'jwt-svid', kid: 'b' },
      { kty: 'EC', crv: 'secp256k1', x: 'AA', y: 'AA', use: 'jwt-svid', kid: 'c' },
      { ...weak.export({ format: 'jwk' }), use: 'jwt-svid', kid: 'd' },
    ];
    expect(counts({ keys: [...unknown, jwtKey] })).toEqual([0, 1]);
    expect(counts({ keys: [{ ...ed25519.export({ format: 'jwk' }), use: 'x509-svid' }] })).toEqual([
      0, 0,
    ]);
  });

  test('parameters that the standard does not define change nothing (B-04)', () => {
    const keys = [{ ...jwtKey, alg: 'ES256', key_ops: ['verify'], 'x-mine': 1 }, x509Key];
    expect(counts({ keys, issued_at: 1, 'x-mine': {} })).toEqual([1, 1]);
  });

  test.each([
    ['a point off the curve', { x: jwk.y, y: jwk.x }],
    ['a coordinate that is too short', { x: jwk.x?.slice(0, 40) }],
    ['a coordinate with padding', { x: `${jwk.x}=` }],
    ['no coordinate', { y: undefined }],
    ['a number as coordinate', { y: 7 }],
    ['no kty', { kty: undefined }],
  ])('%s spoils the whole bundle: a gap would look like a revocation (B-02)', (_what, change) => {
    expect(counts({ keys: [jwtKey] })).toEqual([0, 1]);
    expect(counts({ keys: [{ ...jwtKey, ...change }] })).toBe('BUNDLE_KEY_INVALID');
  });

  test('a member that stands twice is refused (B-06)', () => {
    const key = JSON.stringify(jwtKey);
    expect(counts(`{"keys":[],"keys":[${key}]}`)).toBe('BUNDLE_MALFORMED');
    expect(counts(`{"keys":[${key.replace('{', '{"kid":"k0",')}]}`)).toBe('BUNDLE_MALFORMED');
  });

  test('more keys or bytes than a bundle has are refused', () => {
    const keys = Array.from({ length: 257 }, () => ({ kty: 'oct' }));
    expect(counts({ keys })).toBe('BUNDLE_MALFORMED');
    expect(counts({ keys: keys.slice(1) })).toEqual([0, 0]);
    expect(counts(`{"keys":[]${' '.repeat(1024 * 1024)}}`)).toBe('BUNDLE_MALFORMED');
  });

  test('a publisher that spells it wrongly is a bug (B-01)', () => {
    const empty = held({ keys: [] });
    expect(() => writeBundleDocument({ ...empty, sequence: -1n })).toThrow('sequence');
    expect(() => writeBundleDocument({ ...empty, sequence: 2n ** 64n })).toThrow('sequence');
    expect(() => writeBundleDocument({ ...empty, refreshHint: 0.5 })).toThrow('hint');
    expect(writeBundleDocument(empty)).toBe('{"keys":[]}');
  });
});

describe('a bundle map (B-06)', () => {
  const map = (document: unknown) => {
    const outcome = readBundleMap(bytes(document));
    return outcome.ok ? [...outcome.value.keys()] : outcome.code;
  };

  test('keeps each domain to its own name, and may be empty (B-05)', () => {
    expect(map({ trust_domains: {} })).toEqual([]);
    const both = { [DOMAIN]: { keys: [x509Key] }, 'other.example': { keys: [jwtKey] } };
    const outcome = readBundleMap(bytes({ trust_domains: both }));
    if (!outcome.ok) throw new Error(outcome.code);
    expect(outcome.value.get(DOMAIN)).toMatchObject({ trustDomain: DOMAIN });
    expect(outcome.value.get(DOMAIN)?.jwt.keys.size).toBe(0);
    expect(outcome.value.get('other.example')?.x509.authorities).toEqual([]);
    expect(outcome.value.get('other.example')?.jwt.keys.has('k1')).toBe(true);
  });

  test('a trust domain that stands twice is refused (B-06)', () => {
    expect(map('{"trust_domains":{"a":{"keys":[]},"b":{"keys":[]}}}')).toEqual(['a', 'b']);
    expect(map('{"trust_domains":{"a":{"keys":[]},"a":{"keys":[]}}}')).toBe('BUNDLE_MALFORMED');
    expect(map('{"trust_domains":{"a":{"keys":[]},"\\u0061":{"keys":[]}}}')).toBe(
      'BUNDLE_MALFORMED',
    );
  });

  test('trust_domains must be there, keyed by names, and each bundle be one', () => {
    expect(map({})).toBe('BUNDLE_MALFORMED');
    expect(map({ trust_domains: [] })).toBe('BUNDLE_MALFORMED');
    for (const name of ['A', 'spiffe://a', 'a/b', '', '__proto__!']) {
      expect(map({ trust_domains: { [name]: { keys: [] } } }), name).toBe(
        'BUNDLE_TRUST_DOMAIN_INVALID',
      );
    }
    expect(map({ trust_domains: { a: {} } })).toBe('BUNDLE_MALFORMED');
  });

  test('a refresh hint inside is not obeyed, a sequence is kept (B-06)', () => {
    const a = { keys: [], spiffe_refresh_hint: 1, spiffe_sequence: 4 };
    const outcome = readBundleMap(bytes({ trust_domains: { a } }));
    expect(outcome.ok && outcome.value.get('a')).toMatchObject({ sequence: 4n });
    expect(outcome.ok && outcome.value.get('a')).not.toHaveProperty('refreshHint');
  });
});
