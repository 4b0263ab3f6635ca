import { generateKeyPairSync } from 'node:crypto';
import type { BundleCode } from '#identity/codes.ts';
import { createRoot } from './authority.ts';

/** A document that a trust domain publishes, and what a consumer takes out of it. */
export interface BundleCase {
  readonly expected: 'OK' | BundleCode;
  readonly what: string;
  readonly clause: string;
  readonly kind: 'bundle' | 'map';
  readonly document: string;
  /** Of an accepted document: trust domain → how many X.509 authorities, and which kids. */
  readonly taken?: Readonly<Record<string, { x509: number; jwt: readonly string[] }>>;
}

const DOMAIN = 'city.example';

export async function bundleCases(): Promise<readonly BundleCase[]> {
  const cases: BundleCase[] = [];
  const root = await createRoot(DOMAIN);
  const other = await createRoot(DOMAIN);
  const [x5c, second] = [root, other].map(({ der }) => der.toString('base64'));
  const rootJwk = root.publicKey.export({ format: 'jwk' });
  const x509 = { ...rootJwk, use: 'x509-svid', x5c: [x5c] };
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
  const jwt = { ...ec, use: 'jwt-svid', kid: 'k1' };

  const good = (
    what: string,
    clause: string,
    document: object | string,
    x509Count: number,
    kids: readonly string[],
  ) =>
    cases.push({
      expected: 'OK',
      what,
      clause,
      kind: 'bundle',
      document: typeof document === 'string' ? document : JSON.stringify(document),
      taken: { [DOMAIN]: { x509: x509Count, jwt: kids } },
    });
  const bad = (
    expected: BundleCode,
    what: string,
    clause: string,
    document: object | string,
    kind: BundleCase['kind'] = 'bundle',
  ) => {
    const text = typeof document === 'string' ? document : JSON.stringify(document);
    cases.push({ expected, what, clause, kind, document: text });
  };

  good(
    'both-kinds',
    'B-01 B-02 B-03',
    { spiffe_sequence: 1, spiffe_refresh_hint: 300, keys: [x509, jwt] },
    1,
    ['k1'],
  );
  good('no-keys', 'B-01', { keys: [] }, 0, []);
  good('no-sequence-no-hint', 'B-01', { keys: [jwt] }, 0, ['k1']);
  good('sequence-of-64-bits', 'B-01', '{"spiffe_sequence":18446744073709551615,"keys":[]}', 0, []);
  good('unknown-members', 'B-04', { mine: {}, keys: [{ ...jwt, mine: 1, alg: 'ES256' }] }, 0, [
    'k1',
  ]);
  good('unknown-use', 'B-02 B-04', { keys: [{ ...jwt, use: 'wit-svid' }, x509] }, 1, []);
  good('use-in-upper-case', 'B-02', { keys: [{ ...x509, use: 'X509-SVID' }, jwt] }, 0, ['k1']);
  good('use-missing', 'B-02 B-04', { keys: [{ ...jwt, use: undefined }, x509] }, 1, []);
  good('unknown-kty', 'B-04', { keys: [{ kty: 'AKP', use: 'jwt-svid', kid: 'k' }, jwt] }, 0, [
    'k1',
  ]);
  good('unknown-curve', 'B-04', { keys: [{ ...jwt, crv: 'secp256k1' }] }, 0, []);
  good(
    'rsa-of-1024-bits',
    'B-04',
    { keys: [{ ...weak.export({ format: 'jwk' }), use: 'jwt-svid', kid: 'w' }, jwt] },
    0,
    ['k1'],
  );
  good(
    'rsa',
    'B-03',
    { keys: [{ ...rsa.export({ format: 'jwk' }), use: 'jwt-svid', kid: 'r' }] },
    0,
    ['r'],
  );
  good('x5c-missing', 'B-04', { keys: [{ ...x509, x5c: undefined }, jwt] }, 0, ['k1']);
  good('x5c-empty', 'B-04', { keys: [{ ...x509, x5c: [] }] }, 0, []);
  good('second-x5c-value-ignored', 'B-04', { keys: [{ ...x509, x5c: [x5c, second] }] }, 1, []);
  good('x509-with-kid', 'B-03 B-04', { keys: [{ ...x509, kid: 'x' }] }, 1, []);

  bad('BUNDLE_MALFORMED', 'keys-missing', 'B-01', { spiffe_sequence: 1 });
  bad('BUNDLE_MALFORMED', 'keys-an-object', 'B-01', { keys: {} });
  bad('BUNDLE_MALFORMED', 'a-list', 'B-01', '[]');
  bad('BUNDLE_MALFORMED', 'not-json', 'B-01', 'keys');
  bad('BUNDLE_MALFORMED', 'sequence-negative', 'B-01', { spiffe_sequence: -1, keys: [] });
  bad(
    'BUNDLE_MALFORMED',
    'sequence-of-65-bits',
    'B-01',
    '{"spiffe_sequence":18446744073709551616,"keys":[]}',
  );
  bad('BUNDLE_MALFORMED', 'sequence-a-text', 'B-01', { spiffe_sequence: '1', keys: [] });
  bad('BUNDLE_MALFORMED', 'hint-with-a-fraction', 'B-01', { spiffe_refresh_hint: 0.5, keys: [] });
  bad('BUNDLE_MALFORMED', 'keys-twice', 'B-06', '{"keys":[],"keys":[]}');
  bad('BUNDLE_KEY_INVALID', 'kid-missing', 'B-03', { keys: [{ ...jwt, kid: undefined }] });
  bad('BUNDLE_KEY_INVALID', 'kid-empty', 'B-03', { keys: [{ ...jwt, kid: '' }] });
  bad('BUNDLE_KEY_INVALID', 'kid-of-two', 'B-03', { keys: [jwt, jwt] });
  bad('BUNDLE_KEY_INVALID', 'kty-missing', 'B-02', { keys: [{ ...jwt, kty: undefined }] });
  bad('BUNDLE_KEY_INVALID', 'point-off-the-curve', 'B-02', {
    keys: [{ ...jwt, x: ec.y, y: ec.x }],
  });
  bad('BUNDLE_KEY_INVALID', 'x5c-of-another-key', 'B-03', { keys: [{ ...x509, x5c: [second] }] });
  bad('BUNDLE_KEY_INVALID', 'x5c-no-certificate', 'B-03', { keys: [{ ...x509, x5c: ['AAAA'] }] });

  const two = {
    [DOMAIN]: { keys: [x509] },
    'other.example': { keys: [jwt], spiffe_refresh_hint: 1 },
  };
  const none: readonly string[] = [];
  cases.push({
    expected: 'OK',
    what: 'map-of-two',
    clause: 'B-05 B-06',
    kind: 'map',
    document: JSON.stringify({ trust_domains: two }),
    taken: { [DOMAIN]: { x509: 1, jwt: none }, 'other.example': { x509: 0, jwt: ['k1'] } },
  });
  cases.push({
    expected: 'OK',
    what: 'map-of-none',
    clause: 'B-06',
    kind: 'map',
    document: '{"trust_domains":{}}',
    taken: {},
  });
  const empty = '{"keys":[]}';
  bad('BUNDLE_MALFORMED', 'map-without-domains', 'B-06', {}, 'map');
  bad(
    'BUNDLE_MALFORMED',
    'map-domain-twice',
    'B-06',
    `{"trust_domains":{"a":${empty},"a":${empty}}}`,
    'map',
  );
  bad(
    'BUNDLE_MALFORMED',
    'map-domain-twice-once-escaped',
    'B-06',
    `{"trust_domains":{"a":${empty},"\\u0061":${empty}}}`,
    'map',
  );
  bad(
    'BUNDLE_TRUST_DOMAIN_INVALID',
    'map-keyed-by-id',
    'B-06',
    { trust_domains: { 'spiffe://a': { keys: [] } } },
    'map',
  );
  bad(
    'BUNDLE_TRUST_DOMAIN_INVALID',
    'map-domain-upper-case',
    'B-06',
    { trust_domains: { A: { keys: [] } } },
    'map',
  );
  return cases;
}
