import { Code, ConnectError } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { spiffeId } from '#identity/spiffe-id.ts';
import { ID, OTHER_ID } from '../support/client-harness.ts';
import { jwtAuthority } from '../support/jwt.ts';
import { type JwtHarness, KEY, startJwtHarness, tokenOf } from '../support/jwt-harness.ts';
import { OWN } from '../support/pushed.ts';

let at: JwtHarness;
beforeEach(async () => {
  at = await startJwtHarness();
});
afterEach(() => at.close());

describe('tokens', () => {
  test('one comes for an audience and is good there, and nowhere else (A-09, JV-02, E-02)', async () => {
    const { source } = await at.ready();
    const headers: (string | null)[] = [];
    at.server.answers.jwtSvid = (_request, header) => {
      headers.push(header);
      return { svids: [at.entry(ID)] };
    };
    const outcome = await source.token({ audience: 'reports' });
    if (!outcome.ok) throw new Error(outcome.code);
    expect(headers).toEqual(['true']);
    expect(outcome.value).toMatchObject({ id: ID, audience: ['reports'], hint: '' });
    expect(source.validate(outcome.value.token, 'reports').ok).toBe(true);
    expect(source.validate(outcome.value.token, ['db', 'reports']).ok).toBe(true);
    expect(source.validate(outcome.value.token, 'db')).toMatchObject({
      code: 'JWT_AUDIENCE_MISMATCH',
    });
  });

  test('the same one is given for half of its life, then a new one', async () => {
    const { source } = await at.ready();
    const first = await tokenOf(source, { audience: 'reports' });
    at.now = new Date(at.now.getTime() + 149_000);
    expect(await tokenOf(source, { audience: 'reports' })).toBe(first);
    expect(at.asked).toEqual(['reports']);
    at.now = new Date(at.now.getTime() + 2_000);
    expect(await tokenOf(source, { audience: 'reports' })).not.toBe(first);
    expect(at.asked).toEqual(['reports', 'reports']);
  });

  test('each audience and each ID has its own; the order of audiences does not matter', async () => {
    const { source } = await at.ready();
    at.server.answers.jwtSvid = ({ audience, spiffeId: id }) => {
      at.asked.push(`${audience.join()} ${id}`.trim());
      return { svids: [at.entry(id || ID, audience[0])] };
    };
    await tokenOf(source, { audience: 'a' });
    await tokenOf(source, { audience: 'b' });
    await tokenOf(source, { audience: 'a', id: spiffeId(OTHER_ID) });
    await tokenOf(source, { audience: 'a' });
    expect(at.asked).toEqual(['a', 'b', `a ${OTHER_ID}`]);
  });

  test('many who ask at once share one call', async () => {
    const { source } = await at.ready();
    const got = await Promise.all(
      Array.from({ length: 20 }, () => tokenOf(source, { audience: 'reports' })),
    );
    expect(new Set(got).size).toBe(1);
    expect(at.asked).toEqual(['reports']);
  });

  test('a hint picks; an unknown one and none give the first; of two alike the first (C-04)', async () => {
    const { source } = await at.ready();
    at.server.answers.jwtSvid = () => ({
      svids: [
        at.entry(ID, 'reports'),
        at.entry(OTHER_ID, 'reports', 'b'),
        at.entry(ID, 'reports', 'b'),
      ],
    });
    const idOf = async (hint?: string) => {
      const outcome = await source.token({ audience: 'reports', ...(hint && { hint }) });
      return outcome.ok ? outcome.value.id : outcome.code;
    };
    expect([await idOf(), await idOf('b'), await idOf('c')]).toEqual([ID, OTHER_ID, ID]);
  });

  test('a new bundle empties the cache: its key may have been taken out', async () => {
    const { source, stream } = await at.ready();
    await tokenOf(source, { audience: 'reports' });
    const next = jwtAuthority(OWN, 'k2');
    await at.pushed(stream, { [KEY]: next.jwks });
    await tokenOf(source, { audience: 'reports' });
    expect(at.asked).toHaveLength(2);
  });

  test('while the server does not answer, one that has not ended is still given', async () => {
    const { source } = await at.ready();
    const first = await tokenOf(source, { audience: 'reports' });
    at.server.answers.jwtSvid = () => {
      throw new ConnectError('starting', Code.Unavailable);
    };
    at.now = new Date(at.now.getTime() + 299_000);
    expect(await tokenOf(source, { audience: 'reports' })).toBe(first);
    at.now = new Date(at.now.getTime() + 1_000);
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_UNAVAILABLE');
  });

  test('PermissionDenied for a token ends the kept ones (C-05)', async () => {
    const { source } = await at.ready();
    await tokenOf(source, { audience: 'reports' });
    at.server.answers.jwtSvid = () => {
      throw new ConnectError('no identity issued', Code.PermissionDenied);
    };
    at.now = new Date(at.now.getTime() + 200_000);
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_DENIED');
    at.server.answers.jwtSvid = () => {
      throw new ConnectError('starting', Code.Unavailable);
    };
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_UNAVAILABLE');
  });

  test.each([
    ['no token', () => ({ svids: [] }), 'WORKLOAD_FIELD_EMPTY'],
    ['an empty token', () => ({ svids: [{ spiffeId: ID }] }), 'WORKLOAD_FIELD_EMPTY'],
    ['an empty ID', () => ({ svids: [{ svid: at.entry(ID).svid }] }), 'WORKLOAD_FIELD_EMPTY'],
    ['no JWT', () => ({ svids: [{ spiffeId: ID, svid: 'x' }] }), 'WORKLOAD_SVID_INVALID'],
    ['another audience', () => ({ svids: [at.entry(ID, 'db')] }), 'WORKLOAD_SVID_INVALID'],
    [
      'another subject',
      () => ({ svids: [{ ...at.entry(ID), spiffeId: OTHER_ID }] }),
      'WORKLOAD_SVID_INVALID',
    ],
  ])('an answer with %s is discarded (C-03, A-04)', async (_what, answer, code) => {
    const { source } = await at.ready();
    at.server.answers.jwtSvid = answer;
    expect(await tokenOf(source, { audience: 'reports' })).toBe(code);
    at.server.answers.jwtSvid = () => ({ svids: [at.entry(ID)] });
    expect((await source.token({ audience: 'reports' })).ok).toBe(true);
  });

  test('a token that has ended, or is of another ID than at.asked for, is not passed on (C-03)', async () => {
    const { source } = await at.ready();
    const ended = new Date(at.now.getTime() - 1_000);
    const issuedAt = new Date(at.now.getTime() - 9_000);
    const token = at.own.token(ID, 'reports', { issuedAt, notAfter: ended });
    at.server.answers.jwtSvid = () => ({ svids: [{ spiffeId: ID, svid: token }] });
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_SVID_INVALID');
    at.server.answers.jwtSvid = () => ({ svids: [at.entry(ID)] });
    const id = spiffeId(OTHER_ID);
    expect(await tokenOf(source, { audience: 'reports', id })).toBe('WORKLOAD_SVID_INVALID');
  });

  test('no audience is not at.asked for; a closed source gives none (A-04)', async () => {
    const { source } = await at.ready();
    expect(await tokenOf(source, { audience: '' })).toBe('WORKLOAD_REFUSED');
    source.close();
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_UNAVAILABLE');
    expect(at.asked).toEqual([]);
    expect(source.bundles().size).toBe(0);
  });

  test('a server that does not answer in time is unavailable, and the next call is its own', async () => {
    const { source } = await at.ready(undefined, { timeoutMs: 50 });
    at.server.answers.jwtSvid = () => new Promise(() => undefined);
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_UNAVAILABLE');
    at.server.answers.jwtSvid = () => ({ svids: [at.entry(ID)] });
    // The fast answer comes long before its own deadline on an idle machine; a busy one asks again.
    await expect.poll(() => source.token({ audience: 'reports' })).toMatchObject({ ok: true });
  });
});

describe('the server validates', () => {
  test('what it says is passed on: who, and the claims (C-07, A-11)', async () => {
    const { source } = await at.ready();
    at.server.answers.validate = ({ audience, svid }) => {
      const outcome = source.validate(svid, audience);
      if (!outcome.ok) throw new ConnectError(outcome.detail, Code.InvalidArgument);
      return { spiffeId: outcome.value.id, claims: { sub: outcome.value.id, aud: [audience] } };
    };
    const token = at.own.token(ID, 'reports', { issuedAt: at.now });
    expect(await source.validateAtServer(token, 'reports')).toEqual({
      ok: true,
      value: { id: ID, claims: { sub: ID, aud: ['reports'] } },
    });
    expect(await source.validateAtServer(token, 'db')).toMatchObject({ code: 'WORKLOAD_REFUSED' });
  });

  test('an answer that names nobody, and none at all, are no verdict (C-03)', async () => {
    const { source } = await at.ready();
    at.server.answers.validate = () => ({ claims: {} });
    expect(await source.validateAtServer('t', 'a')).toMatchObject({ code: 'WORKLOAD_FIELD_EMPTY' });
    at.server.answers.validate = () => ({ spiffeId: ID });
    expect(await source.validateAtServer('t', 'a')).toMatchObject({ code: 'WORKLOAD_FIELD_EMPTY' });
    at.server.answers.validate = () => {
      throw new ConnectError('starting', Code.Unavailable);
    };
    expect(await source.validateAtServer('t', 'a')).toMatchObject({ code: 'WORKLOAD_UNAVAILABLE' });
  });
});
