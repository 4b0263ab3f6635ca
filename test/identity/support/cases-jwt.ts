import type { JwtCode } from '#identity/codes.ts';
import { NOW } from './authority.ts';
import { ID } from './case.ts';
import { malformedTokens } from './cases-jwt-malformed.ts';
import { jws, type Part, part, signature } from './jws.ts';
import type { VectorKeys } from './jwt-keys.ts';

export interface JwtCase {
  readonly expected: 'OK' | JwtCode;
  readonly what: string;
  readonly clause: string;
  readonly token: string;
  /** The validator's own name; `reports` unless it is said. */
  readonly audience?: string;
}

export const seconds = NOW.getTime() / 1000;
export const HEADER = { alg: 'ES256', kid: 'k1', typ: 'JWT' };
export const CLAIMS = { sub: ID, aud: ['reports'], exp: seconds + 60, iat: seconds };

/** Tokens that say something; those that are not even tokens have a file of their own. */
export function jwtCases(keys: VectorKeys): readonly JwtCase[] {
  const cases: JwtCase[] = [...malformedTokens(keys)];
  const { privateKey } = keys.p256;
  const add = (
    expected: JwtCase['expected'],
    what: string,
    clause: string,
    token: string,
    audience?: string,
  ) => cases.push({ expected, what, clause, token, ...(audience !== undefined && { audience }) });
  const claims = (
    expected: JwtCase['expected'],
    what: string,
    clause: string,
    change: object,
    audience?: string,
  ) =>
    add(
      expected,
      what,
      clause,
      jws('ES256', privateKey, HEADER, { ...CLAIMS, ...change }),
      audience,
    );
  const header = (expected: JwtCase['expected'], what: string, clause: string, value: Part) =>
    add(expected, what, clause, jws('ES256', privateKey, value, CLAIMS));

  for (const alg of ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']) {
    add('OK', alg, 'J-03', jws(alg, keys.rsa.privateKey, { alg, kid: 'rsa' }, CLAIMS));
  }
  add('OK', 'ES256', 'J-03', jws('ES256', privateKey, HEADER, CLAIMS));
  const es384 = { alg: 'ES384', kid: 'p384' };
  add('OK', 'ES384', 'J-03', jws('ES384', keys.p384.privateKey, es384, CLAIMS));
  const es512 = { alg: 'ES512', kid: 'p521' };
  add('OK', 'ES512', 'J-03', jws('ES512', keys.p521.privateKey, es512, CLAIMS));
  header('OK', 'no-typ', 'J-04', { alg: 'ES256', kid: 'k1' });
  header('OK', 'typ-JOSE', 'J-04', { ...HEADER, typ: 'JOSE' });
  header(
    'OK',
    'header-in-another-order-and-spaced',
    'J-02',
    '{ "typ": "JWT",\n"kid":"k1", "alg":"ES256" }',
  );
  header('OK', 'header-with-an-escape', 'J-02', '{"alg":"ES\\u0032\\u0035\\u0036","kid":"k1"}');
  claims('OK', 'audience-as-text', 'J-05', { aud: 'reports' });
  claims('OK', 'several-audiences', 'J-05 JV-02', { aud: ['db', 'reports', 'x'] });
  claims('OK', 'audience-is-an-id', 'J-05', { aud: [ID] }, ID);
  claims('OK', 'private-claims', 'J-06', {
    'https://a.example/roles': ['x', { y: 1.5 }],
    jti: 'a',
  });
  claims('OK', 'claim-called-proto', 'J-06', JSON.parse('{"__proto__":{"sub":"spiffe://x/y"}}'));
  claims('OK', 'no-iat', 'JV-02', { iat: undefined });
  claims('OK', 'exp-with-a-fraction', 'JV-02', { exp: seconds + 0.5 });
  claims('OK', 'nbf-now', 'JV-02', { nbf: seconds });
  claims('OK', 'jti-seen-before', 'JV-04', { jti: 'once' });
  claims('OK', 'subject-without-a-path', 'JV-04', { sub: 'spiffe://city.example' });
  const foreign = { ...CLAIMS, sub: 'spiffe://other.example/agent/a' };
  add(
    'OK',
    'foreign-by-its-own-key',
    'JV-03',
    jws('ES256', keys.foreign.privateKey, HEADER, foreign),
  );

  const algorithm = (what: string, alg: unknown, clause = 'JV-01 J-03') =>
    header('JWT_ALGORITHM_NOT_ALLOWED', what, clause, { ...HEADER, alg });
  for (const alg of [
    'None',
    'NONE',
    'es256',
    'ES256 ',
    'ES256K',
    'HS256',
    'RSA-OAEP',
    'A128KW',
    '',
  ]) {
    algorithm(`alg-${alg.trim() === alg ? alg || 'empty' : 'with-a-blank'}`, alg);
  }
  algorithm('alg-absent', undefined);
  algorithm('alg-null', null);
  algorithm('alg-a-number', 256);
  algorithm('alg-a-list', ['ES256']);
  const none = `${part({ alg: 'none', kid: 'k1' })}.${part(CLAIMS)}.`;
  add('JWT_ALGORITHM_NOT_ALLOWED', 'alg-none-unsigned', 'JV-01 J-03', none);
  algorithm('alg-none-signed', 'none');
  const garbage = `${part({ alg: 'HS256', kid: 'k1', crit: ['x'] })}.!.!`;
  add('JWT_ALGORITHM_NOT_ALLOWED', 'alg-judged-before-the-rest', 'JV-01', garbage);
  const eddsa = jws('EdDSA', keys.ed25519.privateKey, { alg: 'EdDSA', kid: 'ed25519' }, CLAIMS);
  add('JWT_ALGORITHM_NOT_ALLOWED', 'alg-EdDSA', 'JV-01 J-03', eddsa);

  for (const [name, value] of [
    ['jku', 'https://a.example/keys'],
    ['jwk', keys.stranger.publicKey.export({ format: 'jwk' })],
    ['x5u', 'https://a.example/chain'],
    ['x5c', ['AAAA']],
    ['x5t#S256', 'AAAA'],
    ['crit', ['exp']],
    ['cty', 'JWT'],
    ['b64', true],
    ['zip', 'DEF'],
    ['mine', 1],
    ['ALG', 'none'],
  ] as const) {
    const more = { ...HEADER, [name]: value };
    header('JWT_HEADER_NOT_ALLOWED', `header-${name.replace('#', '-')}`, 'J-02', more);
  }
  for (const [what, typ] of [
    ['lower-case', 'jwt'],
    ['access-token', 'at+jwt'],
    ['wit', 'wit+jwt'],
    ['media-type', 'application/jwt'],
    ['null', null],
    ['empty', ''],
  ] as const) {
    header('JWT_TYPE_INVALID', `typ-${what}`, 'J-04', { ...HEADER, typ });
  }
  header('JWT_KID_MISSING', 'kid-absent', 'J-04', { alg: 'ES256', typ: 'JWT' });
  header('JWT_KID_MISSING', 'kid-empty', 'J-04', { ...HEADER, kid: '' });
  header('JWT_KID_MISSING', 'kid-a-number', 'J-04', { ...HEADER, kid: 1 });

  for (const [what, sub] of [
    ['absent', undefined],
    ['a-number', 1],
    ['a-list', [ID]],
    ['https', 'https://city.example/agent/a'],
    ['upper-case', 'spiffe://City.example/agent/a'],
    ['trailing-slash', 'spiffe://city.example/agent/'],
    ['blank-behind', `${ID} `],
    ['of-2049-bytes', `spiffe://city.example/${'a'.repeat(2049 - 22)}`],
  ] as const) {
    claims('JWT_SUBJECT_INVALID', `sub-${what}`, 'JV-04 J-05', { sub });
  }
  claims('JWT_AUDIENCE_MISSING', 'aud-absent', 'JV-02', { aud: undefined });
  claims('JWT_AUDIENCE_MISSING', 'aud-of-nobody', 'JV-02', { aud: [] });
  claims('JWT_CLAIM_INVALID', 'aud-a-number', 'JV-02', { aud: 1 });
  claims('JWT_CLAIM_INVALID', 'aud-with-a-number', 'JV-02', { aud: ['reports', 1] });
  claims('JWT_CLAIM_INVALID', 'aud-null', 'JV-02', { aud: null });
  claims('JWT_AUDIENCE_MISMATCH', 'aud-of-another', 'JV-02', { aud: ['db'] });
  claims('JWT_AUDIENCE_MISMATCH', 'aud-upper-case', 'JV-02', { aud: ['REPORTS'] });
  claims('JWT_AUDIENCE_MISMATCH', 'aud-longer', 'JV-02', { aud: 'reports-2' });
  claims('JWT_AUDIENCE_MISMATCH', 'aud-empty-for-the-unnamed', 'JV-02', { aud: [''] }, '');
  claims('JWT_EXPIRY_MISSING', 'exp-absent', 'JV-02', { exp: undefined });
  claims('JWT_CLAIM_INVALID', 'exp-a-text', 'JV-02', { exp: String(seconds + 60) });
  claims('JWT_CLAIM_INVALID', 'exp-null', 'JV-02', { exp: null });
  claims('JWT_CLAIM_INVALID', 'exp-beyond-all-dates', 'JV-02', { exp: 1e300 });
  claims('JWT_CLAIM_INVALID', 'nbf-a-text', 'JV-02', { nbf: 'now' });
  claims('JWT_CLAIM_INVALID', 'iat-a-text', 'JV-02', { iat: 'now' });
  claims('JWT_EXPIRED', 'exp-now', 'JV-02', { exp: seconds });
  claims('JWT_EXPIRED', 'exp-a-second-ago', 'JV-02', { exp: seconds - 1 });
  claims('JWT_EXPIRED', 'exp-at-the-epoch', 'JV-02', { exp: 0 });
  claims('JWT_EXPIRED', 'exp-before-the-epoch', 'JV-02', { exp: -1 });
  claims('JWT_NOT_YET_VALID', 'nbf-in-a-second', 'JV-02', { nbf: seconds + 1 });

  const third = { sub: 'spiffe://third.example/a' };
  claims('JWT_TRUST_DOMAIN_UNKNOWN', 'no-bundle-for-it', 'JV-03', third);
  claims('JWT_KEY_UNKNOWN', 'domain-that-revoked-all', 'JV-03 B-01', {
    sub: 'spiffe://empty.example/a',
  });
  header('JWT_KEY_UNKNOWN', 'kid-unknown', 'JV-03', { ...HEADER, kid: 'k9' });
  header('JWT_KEY_UNKNOWN', 'kid-upper-case', 'JV-03', { ...HEADER, kid: 'K1' });
  const by = (kid: string, key: { privateKey: VectorKeys['p256']['privateKey'] }) =>
    jws('ES256', key.privateKey, { ...HEADER, kid }, CLAIMS);
  add('JWT_KEY_UNKNOWN', 'kid-of-another-domain', 'JV-03 B-05', by('foreign', keys.foreign));
  add('JWT_KEY_UNKNOWN', 'key-for-x509', 'JV-03 C-06', by('x509', keys.x509));
  add('JWT_KEY_UNKNOWN', 'key-for-wit', 'JV-03 C-06', by('wit', keys.wit));
  header('JWT_KEY_UNSUITABLE', 'ES256-by-an-RSA-key', 'JV-01', { alg: 'ES256', kid: 'rsa' });
  header('JWT_KEY_UNSUITABLE', 'RS256-by-an-EC-key', 'JV-01', { alg: 'RS256', kid: 'k1' });
  header('JWT_KEY_UNSUITABLE', 'ES384-by-a-P-256-key', 'JV-01', { alg: 'ES384', kid: 'k1' });
  header('JWT_KEY_UNSUITABLE', 'ES256-by-an-Ed25519-key', 'JV-01', {
    alg: 'ES256',
    kid: 'ed25519',
  });

  const bad = (what: string, token: string, clause = 'JV-01') =>
    add('JWT_SIGNATURE_INVALID', what, clause, token);
  bad('same-kid-of-another-domain', by('k1', keys.foreign), 'JV-03 B-05');
  bad('by-a-stranger', by('k1', keys.stranger));
  const [head = '', body = '', mac = ''] = by('k1', keys.p256).split('.');
  bad('claims-changed', `${head}.${part({ ...CLAIMS, aud: ['reports', 'db'] })}.${mac}`, 'I-09');
  bad('header-changed', `${part({ ...HEADER, typ: 'JOSE' })}.${body}.${mac}`);
  bad('signature-of-zeros', `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`);
  const raw = Buffer.from(mac, 'base64url');
  bad('signature-cut-short', `${head}.${body}.${raw.subarray(0, 63).toString('base64url')}`);
  bad(
    'signature-with-a-byte-more',
    `${head}.${body}.${Buffer.concat([raw, Buffer.alloc(1)]).toString('base64url')}`,
  );
  bad(
    'halves-exchanged',
    `${head}.${body}.${Buffer.concat([raw.subarray(32), raw.subarray(0, 32)]).toString('base64url')}`,
  );
  const ps = `${part({ alg: 'PS256', kid: 'rsa' })}.${part(CLAIMS)}`;
  const rs = signature('RS256', ps, keys.rsa.privateKey).toString('base64url');
  bad('RS256-signature-as-PS256', `${ps}.${rs}`);
  return cases;
}
