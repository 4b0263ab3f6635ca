import { once } from 'node:events';
import { Code, ConnectError } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ID } from '../support/client-harness.ts';
import { jwtAuthority } from '../support/jwt.ts';
import { type JwtHarness, KEY, startJwtHarness, tokenOf } from '../support/jwt-harness.ts';
import { OWN } from '../support/pushed.ts';

let at: JwtHarness;
beforeEach(async () => {
  at = await startJwtHarness();
});
afterEach(() => at.close());

describe('bundles', () => {
  test('the security header is sent, and a token of each domain is valid by its own (JV-03, E-02)', async () => {
    const partner = jwtAuthority('other.example');
    const { source, stream } = await at.ready({
      [KEY]: at.own.jwks,
      'spiffe://other.example': partner.jwks,
    });
    expect(stream.header).toBe('true');
    const foreign = 'spiffe://other.example/agent/a';
    const valid = (token: string) => source.validate(token, 'reports');
    expect(valid(at.own.token(ID, 'reports', { issuedAt: at.now }))).toMatchObject({
      ok: true,
      value: { id: ID },
    });
    expect(valid(partner.token(foreign, 'reports', { issuedAt: at.now }))).toMatchObject({
      value: { id: foreign },
    });
    expect(valid(partner.token(ID, 'reports', { issuedAt: at.now }))).toMatchObject({
      code: 'JWT_SIGNATURE_INVALID',
    });
  });

  test('a message replaces what was held: an absent domain is unloaded (C-02)', async () => {
    const partner = jwtAuthority('other.example');
    const foreign = { 'spiffe://other.example': partner.jwks };
    const { source, stream } = await at.ready({ [KEY]: at.own.jwks, ...foreign });
    const token = partner.token('spiffe://other.example/a', 'reports', { issuedAt: at.now });
    expect(source.validate(token, 'reports').ok).toBe(true);
    await at.pushed(stream, { [KEY]: at.own.jwks });
    expect(source.validate(token, 'reports')).toMatchObject({ code: 'JWT_TRUST_DOMAIN_UNKNOWN' });
  });

  test('a rotated key: old and new while both are there, then the new one alone (C-02)', async () => {
    const { source, stream } = await at.ready();
    const next = jwtAuthority(OWN, 'k2');
    const [old, fresh] = [at.own, next].map((one) =>
      one.token(ID, 'reports', { issuedAt: at.now }),
    );
    const verdicts = () =>
      [old, fresh].map((token) => {
        const outcome = source.validate(token ?? '', 'reports');
        return outcome.ok ? 'OK' : outcome.code;
      });
    expect(verdicts()).toEqual(['OK', 'JWT_KEY_UNKNOWN']);
    const keys = [at.own, next].flatMap((one) => JSON.parse(Buffer.from(one.jwks).toString()).keys);
    await at.pushed(stream, { [KEY]: new TextEncoder().encode(JSON.stringify({ keys })) });
    expect(verdicts()).toEqual(['OK', 'OK']);
    await at.pushed(stream, { [KEY]: next.jwks });
    expect(verdicts()).toEqual(['JWT_KEY_UNKNOWN', 'OK']);
  });

  test('an empty message is discarded, a broken domain costs only itself (C-03)', async () => {
    const { source, stream } = await at.ready();
    stream.send({ bundles: {} });
    await once(at.events, 'discarded');
    expect(at.states.at(-1)).toMatchObject({ code: 'WORKLOAD_FIELD_EMPTY' });
    expect([...source.bundles().keys()]).toEqual([OWN]);
    await at.pushed(stream, {
      [KEY]: at.own.jwks,
      'spiffe://bad.example': new TextEncoder().encode('{'),
      'bad key': at.own.jwks,
    });
    expect([...source.bundles().keys()]).toEqual([OWN]);
    const codes = at.states.flatMap((state) => (state.kind === 'discarded' ? [state.code] : []));
    expect(codes.slice(1).sort()).toEqual(['BUNDLE_MALFORMED', 'BUNDLE_TRUST_DOMAIN_INVALID']);
  });

  test('keys of another use do not sign tokens (C-06)', async () => {
    const [key] = JSON.parse(Buffer.from(at.own.jwks).toString()).keys;
    const as = (use: string) =>
      new TextEncoder().encode(JSON.stringify({ keys: [{ ...key, use }] }));
    const { source, stream } = await at.ready({ [KEY]: as('x509-svid') });
    const token = at.own.token(ID, 'reports', { issuedAt: at.now });
    expect(source.validate(token, 'reports')).toMatchObject({ code: 'JWT_KEY_UNKNOWN' });
    await at.pushed(stream, { [KEY]: as('jwt-svid') });
    expect(source.validate(token, 'reports').ok).toBe(true);
  });

  test('a key set without use, as SPIRE’s agent sends it, is of JWT keys (A-10)', async () => {
    const { use: _without, ...key } = JSON.parse(Buffer.from(at.own.jwks).toString()).keys[0];
    const plain = new TextEncoder().encode(JSON.stringify({ keys: [key] }));
    const { source } = await at.ready({ [KEY]: plain });
    expect(source.validate(at.own.token(ID, 'reports', { issuedAt: at.now }), 'reports').ok).toBe(
      true,
    );
  });

  test('PermissionDenied on the live stream takes bundles and tokens away (C-05)', async () => {
    const { source, stream } = await at.ready();
    await tokenOf(source, { audience: 'reports' });
    stream.fail(Code.PermissionDenied, 'entry deleted');
    await once(at.events, 'denied');
    expect(source.bundles().size).toBe(0);
    at.server.answers.jwtSvid = () => {
      throw new ConnectError('no identity issued', Code.PermissionDenied);
    };
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_DENIED');
  });

  test.each([Code.InvalidArgument, Code.Unimplemented])(
    'status %i when opened is not tried again (C-01)',
    async (code) => {
      const refused = expect(at.open()).rejects.toThrow(/^Workload API: \w+: no such profile$/);
      (await at.server.nextJwtBundles()).fail(code, 'no such profile');
      await refused;
      expect(at.states.map(({ kind }) => kind)).toEqual(['failed']);
    },
  );

  test('denied at first, a cut connection, a closed stream: at.asked again (C-01)', async () => {
    const opening = at.open();
    (await at.server.nextJwtBundles()).fail(Code.PermissionDenied, 'not yet');
    await once(at.events, 'denied');
    const stream = await at.server.nextJwtBundles();
    stream.send({ bundles: { [KEY]: at.own.jwks as Uint8Array<ArrayBuffer> } });
    const source = await opening;
    at.server.cut();
    const again = await at.server.nextJwtBundles();
    expect([...source.bundles().keys()]).toEqual([OWN]);
    again.end();
    await at.server.nextJwtBundles();
  });
});
