import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { describe, expect, test } from 'vitest';
import { signJwtSvid } from '#identity/jwt/sign.ts';
import { validateJwtSvid } from '#identity/jwt/validate.ts';
import { spiffeId } from '#identity/spiffe-id.ts';

const ID = spiffeId('spiffe://city.example/agent/sensor/north/cam-1');
const issuedAt = new Date('2030-06-15T12:00:00.400Z');
const notAfter = new Date('2030-06-15T12:05:00.900Z');
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const honest = { id: ID, audience: ['reports'] as const, key: privateKey, kid: 'k1' };
const request = { ...honest, issuedAt, notAfter };
const bundles = new Map([
  ['city.example', { trustDomain: 'city.example', keys: new Map([['k1', publicKey]]) }],
]);
const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());

describe('what is issued', () => {
  test('is three parts joined by dots: compact serialisation (J-01)', () => {
    expect(signJwtSvid(request)).toMatch(/^[\w-]+\.[\w-]+\.[\w-]{86}$/);
  });

  test('has a header of exactly alg, kid and typ (J-02, J-03, J-04)', () => {
    expect(decodeProtectedHeader(signJwtSvid(request))).toEqual({
      alg: 'ES256',
      kid: 'k1',
      typ: 'JWT',
    });
  });

  test('names subject, audience and a short life in whole seconds (J-05)', () => {
    const exp = Date.parse('2030-06-15T12:05:00Z') / 1000;
    const iat = Date.parse('2030-06-15T12:00:00Z') / 1000;
    expect(claimsOf(signJwtSvid(request))).toEqual({ sub: ID, aud: ['reports'], exp, iat });
    const two = signJwtSvid({ ...request, audience: ['reports', 'spiffe://city.example/db'] });
    expect(claimsOf(two).aud).toEqual(['reports', 'spiffe://city.example/db']);
  });

  test('has no other claim but jti, and that only when asked for (J-06)', () => {
    expect(claimsOf(signJwtSvid({ ...request, jti: 'a1' }))).toMatchObject({ jti: 'a1' });
    expect(claimsOf(signJwtSvid(request))).not.toHaveProperty('jti');
  });

  test('is accepted by another library and by ours', async () => {
    const token = signJwtSvid(request);
    const other = await jwtVerify(token, publicKey, {
      audience: 'reports',
      currentDate: issuedAt,
      algorithms: ['ES256'],
    });
    expect(other.payload.sub).toBe(ID);
    const ours = validateJwtSvid(token, { audience: 'reports', bundles, now: issuedAt });
    expect(ours).toMatchObject({ ok: true, value: { id: ID, kid: 'k1' } });
  });
});

describe('what an issuer can get wrong is a bug, and no token comes of it', () => {
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
  const ed25519 = generateKeyPairSync('ed25519').privateKey;
  test.each<[string, KeyObject]>([
    ['a P-384 key', p384],
    ['an Ed25519 key', ed25519],
    ['a public key', publicKey],
  ])('%s (J-03)', (_what, key) => {
    expect(() => signJwtSvid({ ...request, key })).toThrow('P-256');
  });

  test('no audience, an empty one, no kid, no life (J-05)', () => {
    // @ts-expect-error: the type refuses it too
    expect(() => signJwtSvid({ ...request, audience: [] })).toThrow('audience');
    expect(() => signJwtSvid({ ...request, audience: ['a', ''] })).toThrow('audience');
    expect(() => signJwtSvid({ ...request, kid: '' })).toThrow('kid');
    expect(() => signJwtSvid({ ...request, notAfter: issuedAt })).toThrow('ends');
    expect(() => signJwtSvid({ ...request, notAfter: new Date(Number.NaN) })).toThrow('ends');
  });
});

test('the public key as an HMAC secret signs nothing (JV-01)', () => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = issuedAt.getTime() / 1000 + 60;
  const input = `${part({ alg: 'HS256', kid: 'k1' })}.${part({ sub: ID, aud: 'reports', exp })}`;
  const pem = publicKey.export({ format: 'pem', type: 'spki' });
  const mac = createHmac('sha256', pem).update(input).digest('base64url');
  expect(
    validateJwtSvid(`${input}.${mac}`, { audience: 'reports', bundles, now: issuedAt }),
  ).toMatchObject({ ok: false, code: 'JWT_ALGORITHM_NOT_ALLOWED' });
});
