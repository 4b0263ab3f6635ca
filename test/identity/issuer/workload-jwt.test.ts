import { createPublicKey } from 'node:crypto';
import type { ClientHttp2Session } from 'node:http2';
import { create, fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bundleFromCertificates } from '#identity/bundle.ts';
import { verifyLog } from '#identity/issuer/log.ts';
import { signJwtSvid } from '#identity/jwt/sign.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import {
  JWTSVIDRequestSchema,
  JWTSVIDResponseSchema,
  ValidateJWTSVIDRequestSchema,
  ValidateJWTSVIDResponseSchema,
} from '#identity/workload-api/generated/workload_pb.ts';
import { Bench, keyPair, sensorEntry, TRUST_DOMAIN } from './harness.ts';
import { call, encode, GRPC, openSession, readBundles, readJwtBundles } from './raw-client.ts';

const SENSOR = sensorEntry().spiffe_id;
const HEADER = { 'workload.spiffe.io': 'true' };
const FOREIGN = 'other.example';
const foreignKey = keyPair();

describe('Workload API server, JWT profile', () => {
  let bench: Bench;
  let session: ClientHttp2Session;
  beforeEach(async () => {
    bench = new Bench();
    // Time stands, so that no minute ends while its tokens are counted.
    const now = new Date();
    await bench.start({
      clock: () => now,
      federated: (domain) =>
        domain === FOREIGN
          ? {
              x509: [Buffer.from('3000', 'hex')],
              jwt: { trustDomain: FOREIGN, keys: new Map([['theirs', foreignKey.publicKey]]) },
            }
          : undefined,
    });
    await bench.link.setEntries([sensorEntry({ jwt_svid_ttl: 60 })]);
    await bench.attestSelf();
    session = openSession(bench.socketPath);
  });
  afterEach(async () => {
    session.destroy();
    await bench.stop();
  });

  async function fetch(request: MessageInitShape<typeof JWTSVIDRequestSchema>) {
    const body = encode(JWTSVIDRequestSchema, create(JWTSVIDRequestSchema, request));
    const asked = call(session, 'FetchJWTSVID', HEADER, body);
    const message = await asked.next();
    const svids = message === undefined ? [] : fromBinary(JWTSVIDResponseSchema, message).svids;
    return { svids, status: await asked.status };
  }
  async function token(audience = 'bank'): Promise<string> {
    const { svids } = await fetch({ audience: [audience] });
    return svids[0]?.svid ?? '';
  }
  async function validate(request: MessageInitShape<typeof ValidateJWTSVIDRequestSchema>) {
    const body = encode(
      ValidateJWTSVIDRequestSchema,
      create(ValidateJWTSVIDRequestSchema, request),
    );
    const asked = call(session, 'ValidateJWTSVID', HEADER, body);
    const message = await asked.next();
    const valid = message && fromBinary(ValidateJWTSVIDResponseSchema, message);
    return { valid, status: await asked.status };
  }

  test('a token is ES256, has alg, kid, typ and sub, aud, exp, iat, and another library takes it (J-01, J-02, J-03, J-04, J-05)', async () => {
    const { svids, status } = await fetch({ audience: ['bank', 'shop'] });
    expect(status).toBe(GRPC.ok);
    const [{ spiffeId: id, svid } = { spiffeId: '', svid: '' }] = svids;
    expect(id).toBe(SENSOR);
    expect(Object.keys(decodeProtectedHeader(svid)).sort()).toEqual(['alg', 'kid', 'typ']);
    const sets = readJwtBundles(await call(session, 'FetchJWTBundles').next());
    const keys = createLocalJWKSet(sets[`spiffe://${TRUST_DOMAIN}`] ?? { keys: [] });
    const { payload, protectedHeader } = await jwtVerify(svid, keys, { audience: 'bank' });
    expect(protectedHeader.alg).toBe('ES256');
    expect(payload).toMatchObject({ sub: SENSOR, aud: ['bank', 'shop'] });
    expect(Object.keys(payload).sort()).toEqual(['aud', 'exp', 'iat', 'sub']);
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(60);
  });

  test('a token is in the log before it is handed out, by its digest and not as it is', async () => {
    const issuer = bench.issuer;
    const text = await token();
    const rows = issuer.pending(10);
    expect(verifyLog(rows)).toMatchObject({ ok: true });
    const logged = JSON.parse(rows.at(-1)?.body ?? '{}');
    expect(logged).toMatchObject({ kind: 'jwt', spiffe_id: SENSOR, audience: ['bank'] });
    expect(JSON.stringify(rows)).not.toContain(text.split('.')[2]);
  });

  test('a token is the same until half of its life is over, per audience; with jti it never is', async () => {
    expect(await token('a')).toBe(await token('a'));
    expect(await token('a')).not.toBe(await token('b'));
    await bench.link.setEntries([sensorEntry({ jwt_svid_include_jti: true })]);
    expect(await token('a')).not.toBe(await token('a'));
  });

  test('no audience, or an empty or endless one, is InvalidArgument (A-04)', async () => {
    for (const audience of [[], [''], ['bank', ''], ['x'.repeat(3000)]]) {
      expect((await fetch({ audience })).status).toBe(GRPC.invalidArgument);
    }
    expect((await fetch({ audience: ['bank'] })).status).toBe(GRPC.ok);
  });

  test('without spiffe_id all identities, with it that one; another’s is PermissionDenied (A-09)', async () => {
    const second = `spiffe://${TRUST_DOMAIN}/agent/sensor/north/second`;
    await bench.link.setEntries([
      sensorEntry(),
      sensorEntry({ spiffe_id: second, hint: 'second' }),
    ]);
    const all = await fetch({ audience: ['bank'] });
    expect(all.svids.map((one) => one.spiffeId).sort()).toEqual([SENSOR, second]);
    const one = await fetch({ audience: ['bank'], spiffeId: second });
    expect(one.svids).toMatchObject([{ spiffeId: second, hint: 'second' }]);
    const other = `spiffe://${TRUST_DOMAIN}/agent/action/north/action-1`;
    expect((await fetch({ audience: ['bank'], spiffeId: other })).status).toBe(
      GRPC.permissionDenied,
    );
    expect((await fetch({ audience: ['bank'], spiffeId: 'http://x' })).status).toBe(
      GRPC.invalidArgument,
    );
  });

  test('who has no identity gets PermissionDenied on every RPC, with one it is served (A-07)', async () => {
    const valid = await token();
    const bundles = call(session, 'FetchJWTBundles');
    await bundles.next();
    await bench.link.setEntries([]);
    expect(await bundles.status).toBe(GRPC.permissionDenied);
    expect((await fetch({ audience: ['bank'] })).status).toBe(GRPC.permissionDenied);
    expect((await validate({ audience: 'bank', svid: valid })).status).toBe(GRPC.permissionDenied);
    await bench.link.setEntries([sensorEntry()]);
    expect((await validate({ audience: 'bank', svid: valid })).status).toBe(GRPC.ok);
    // What was taken away does not come back.
    expect(await token()).not.toBe(valid);
  });

  test('a JWT bundle is keyed by the trust domain’s SPIFFE ID, and holds keys of tokens alone (A-08, A-10)', async () => {
    const sets = readJwtBundles(await call(session, 'FetchJWTBundles').next());
    expect(Object.keys(sets)).toEqual([`spiffe://${TRUST_DOMAIN}`]);
    const { keys } = sets[`spiffe://${TRUST_DOMAIN}`] ?? { keys: [] };
    expect(keys).toHaveLength(1);
    expect(keys[0]).not.toHaveProperty('x5c');
    expect(keys[0]).not.toHaveProperty('d');
    const { kid } = decodeProtectedHeader(await token());
    expect(keys[0]?.kid).toBe(kid);
    const x509 = bundleFromCertificates(TRUST_DOMAIN, bench.issuer.bundle());
    const spki = (key: ReturnType<typeof createPublicKey>) =>
      key.export({ format: 'der', type: 'spki' }).toString('hex');
    const own = keys.map((key) => spki(createPublicKey({ key, format: 'jwk' })));
    const others = x509.ok ? x509.value.authorities.map(({ publicKey }) => spki(publicKey)) : [];
    expect(own.filter((key) => others.includes(key))).toEqual([]);
  });

  test('foreign bundles go only to whom an entry lets federate, keyed by the foreign ID (A-13)', async () => {
    const plain = readJwtBundles(await call(session, 'FetchJWTBundles').next());
    expect(Object.keys(plain)).not.toContain(`spiffe://${FOREIGN}`);
    await bench.link.setEntries([sensorEntry({ federates_with: [FOREIGN] })]);
    const jwt = readJwtBundles(await call(session, 'FetchJWTBundles').next());
    expect(jwt[`spiffe://${FOREIGN}`]?.keys).toMatchObject([{ kid: 'theirs' }]);
    const x509 = readBundles(await call(session, 'FetchX509Bundles').next());
    expect(Object.keys(x509).sort()).toEqual([`spiffe://${TRUST_DOMAIN}`, `spiffe://${FOREIGN}`]);
  });

  test('validation gives ID and claims of a good token, and InvalidArgument for the others (A-11)', async () => {
    const svid = await token();
    const { valid } = await validate({ audience: 'bank', svid });
    expect(valid).toMatchObject({ spiffeId: SENSOR, claims: { sub: SENSOR, aud: ['bank'] } });
    const [head, claims, signature = ''] = svid.split('.');
    const flipped = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
    const stranger = signJwtSvid({
      id: spiffeId(SENSOR),
      audience: ['bank'],
      key: keyPair().privateKey,
      kid: String(decodeProtectedHeader(svid).kid),
      issuedAt: new Date(),
      notAfter: new Date(Date.now() + 60_000),
    });
    for (const [audience, wrong] of [
      ['shop', svid],
      ['bank', `${head}.${claims}.${flipped}`],
      ['bank', stranger],
      ['bank', 'not.a.token'],
      ['bank', `${svid}.`],
    ] as const) {
      expect((await validate({ audience, svid: wrong })).status).toBe(GRPC.invalidArgument);
    }
  });

  test('an empty svid or audience to validate is InvalidArgument (A-04)', async () => {
    const svid = await token();
    expect((await validate({ audience: '', svid })).status).toBe(GRPC.invalidArgument);
    expect((await validate({ audience: 'bank', svid: '' })).status).toBe(GRPC.invalidArgument);
    expect((await validate({ audience: 'bank', svid })).status).toBe(GRPC.ok);
  });

  test('a federated domain’s token is valid under that domain’s keys alone (A-11, JV-03)', async () => {
    const foreign = (key = foreignKey.privateKey, kid = 'theirs') =>
      signJwtSvid({
        id: spiffeId(`spiffe://${FOREIGN}/shop`),
        audience: ['bank'],
        key,
        kid,
        issuedAt: new Date(),
        notAfter: new Date(Date.now() + 60_000),
        jti: 'one',
      });
    const ask = async (svid: string) => (await validate({ audience: 'bank', svid })).status;
    expect(await ask(foreign())).toBe(GRPC.invalidArgument);
    await bench.link.setEntries([sensorEntry({ federates_with: [FOREIGN] })]);
    expect(await ask(foreign())).toBe(GRPC.ok);
    expect(await ask(foreign(keyPair().privateKey))).toBe(GRPC.invalidArgument);
    const own = String(decodeProtectedHeader(await token()).kid);
    expect(await ask(foreign(foreignKey.privateKey, own))).toBe(GRPC.invalidArgument);
  });

  test('a process has so many new tokens a minute, then it is Unavailable, and others are served', async () => {
    const many = Array.from({ length: 100 }, (_one, n) =>
      sensorEntry({ spiffe_id: `${SENSOR}-${n}` }),
    );
    await bench.link.setEntries(many);
    const answers = [];
    for (let n = 0; n < 7; n += 1) answers.push((await fetch({ audience: [`a${n}`] })).status);
    expect(answers.slice(0, 6)).toEqual(Array(6).fill(GRPC.ok));
    expect(answers[6]).toBe(GRPC.unavailable);
    // What it has already it gets, and its certificates are another matter.
    expect((await fetch({ audience: ['a5'] })).status).toBe(GRPC.ok);
    expect(await call(session, 'FetchX509SVID').next()).toBeDefined();
  });
});
