import { EventEmitter, once } from 'node:events';
import { Code, ConnectError } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { spiffeId } from '#identity/spiffe-id.ts';
import type { BundleSourceState } from '#identity/workload-api/client.ts';
import {
  type JwtSource,
  type JwtSourceOptions,
  openJwtSource,
} from '#identity/workload-api/jwt-source.ts';
import { ID, OTHER_ID } from '../support/client-harness.ts';
import { type JwtAuthority, jwtAuthority } from '../support/jwt.ts';
import { OWN } from '../support/pushed.ts';
import {
  type Stream,
  startWorkloadServer,
  type WorkloadServer,
} from '../support/workload-server.ts';

const KEY = `spiffe://${OWN}`;
let server: WorkloadServer;
let own: JwtAuthority;
let now: Date;
let events: EventEmitter;
let states: BundleSourceState[];
let sources: JwtSource[];
/** Each call of FetchJWTSVID: audiences and ID. */
let asked: string[];

beforeEach(async () => {
  server = await startWorkloadServer();
  own = jwtAuthority(OWN);
  now = new Date('2030-06-15T12:00:00Z');
  events = new EventEmitter();
  states = [];
  sources = [];
  asked = [];
  server.answers.jwtSvid = ({ audience, spiffeId: id }) => {
    asked.push(`${audience.join()} ${id}`.trim());
    return { svids: [entry(ID, audience[0]), entry(OTHER_ID, audience[0], 'other')] };
  };
});
afterEach(async () => {
  for (const source of sources) source.close();
  await server.close();
});

const entry = (id: string, audience = 'reports', hint = '', authority = own) => ({
  spiffeId: id,
  svid: authority.token(id, audience, { issuedAt: now }),
  hint,
});
function open(options: Partial<JwtSourceOptions> = {}): Promise<JwtSource> {
  const opening = openJwtSource({
    socketPath: server.path,
    backoff: { firstMs: 5, maxMs: 20 },
    now: () => now,
    onState: (state) => {
      states.push(state);
      events.emit(state.kind, state);
    },
    ...options,
  });
  opening.then(
    (source) => sources.push(source),
    () => undefined,
  );
  return opening;
}
type Bundles = Record<string, Uint8Array>;
async function ready(bundles: Bundles = { [KEY]: own.jwks }, options = {}) {
  const opening = open(options);
  const stream = await server.nextJwtBundles();
  stream.send({ bundles: bundles as Record<string, Uint8Array<ArrayBuffer>> });
  return { source: await opening, stream };
}
async function pushed(stream: Stream<{ bundles?: Bundles }>, bundles: Bundles) {
  stream.send({ bundles });
  await once(events, 'ready');
}
const tokenOf = async (source: JwtSource, request: Parameters<JwtSource['token']>[0]) => {
  const outcome = await source.token(request);
  return outcome.ok ? outcome.value.token : outcome.code;
};

describe('bundles', () => {
  test('the security header is sent, and a token of each domain is valid by its own (JV-03, E-02)', async () => {
    const partner = jwtAuthority('other.example');
    const { source, stream } = await ready({
      [KEY]: own.jwks,
      'spiffe://other.example': partner.jwks,
    });
    expect(stream.header).toBe('true');
    const foreign = 'spiffe://other.example/agent/a';
    const valid = (token: string) => source.validate(token, 'reports');
    expect(valid(own.token(ID, 'reports', { issuedAt: now }))).toMatchObject({
      ok: true,
      value: { id: ID },
    });
    expect(valid(partner.token(foreign, 'reports', { issuedAt: now }))).toMatchObject({
      value: { id: foreign },
    });
    expect(valid(partner.token(ID, 'reports', { issuedAt: now }))).toMatchObject({
      code: 'JWT_SIGNATURE_INVALID',
    });
  });

  test('a message replaces what was held: an absent domain is unloaded (C-02)', async () => {
    const partner = jwtAuthority('other.example');
    const foreign = { 'spiffe://other.example': partner.jwks };
    const { source, stream } = await ready({ [KEY]: own.jwks, ...foreign });
    const token = partner.token('spiffe://other.example/a', 'reports', { issuedAt: now });
    expect(source.validate(token, 'reports').ok).toBe(true);
    await pushed(stream, { [KEY]: own.jwks });
    expect(source.validate(token, 'reports')).toMatchObject({ code: 'JWT_TRUST_DOMAIN_UNKNOWN' });
  });

  test('a rotated key: old and new while both are there, then the new one alone (C-02)', async () => {
    const { source, stream } = await ready();
    const next = jwtAuthority(OWN, 'k2');
    const [old, fresh] = [own, next].map((one) => one.token(ID, 'reports', { issuedAt: now }));
    const verdicts = () =>
      [old, fresh].map((token) => {
        const outcome = source.validate(token ?? '', 'reports');
        return outcome.ok ? 'OK' : outcome.code;
      });
    expect(verdicts()).toEqual(['OK', 'JWT_KEY_UNKNOWN']);
    const keys = [own, next].flatMap((one) => JSON.parse(Buffer.from(one.jwks).toString()).keys);
    await pushed(stream, { [KEY]: new TextEncoder().encode(JSON.stringify({ keys })) });
    expect(verdicts()).toEqual(['OK', 'OK']);
    await pushed(stream, { [KEY]: next.jwks });
    expect(verdicts()).toEqual(['JWT_KEY_UNKNOWN', 'OK']);
  });

  test('an empty message is discarded, a broken domain costs only itself (C-03)', async () => {
    const { source, stream } = await ready();
    stream.send({ bundles: {} });
    await once(events, 'discarded');
    expect(states.at(-1)).toMatchObject({ code: 'WORKLOAD_FIELD_EMPTY' });
    expect([...source.bundles().keys()]).toEqual([OWN]);
    await pushed(stream, {
      [KEY]: own.jwks,
      'spiffe://bad.example': new TextEncoder().encode('{'),
      'bad key': own.jwks,
    });
    expect([...source.bundles().keys()]).toEqual([OWN]);
    const codes = states.flatMap((state) => (state.kind === 'discarded' ? [state.code] : []));
    expect(codes.slice(1).sort()).toEqual(['BUNDLE_MALFORMED', 'BUNDLE_TRUST_DOMAIN_INVALID']);
  });

  test('keys of another use do not sign tokens (C-06)', async () => {
    const [key] = JSON.parse(Buffer.from(own.jwks).toString()).keys;
    const as = (use: string) =>
      new TextEncoder().encode(JSON.stringify({ keys: [{ ...key, use }] }));
    const { source, stream } = await ready({ [KEY]: as('x509-svid') });
    const token = own.token(ID, 'reports', { issuedAt: now });
    expect(source.validate(token, 'reports')).toMatchObject({ code: 'JWT_KEY_UNKNOWN' });
    await pushed(stream, { [KEY]: as('jwt-svid') });
    expect(source.validate(token, 'reports').ok).toBe(true);
  });

  test('a key set without use, as SPIRE’s agent sends it, is of JWT keys (A-10)', async () => {
    const { use: _without, ...key } = JSON.parse(Buffer.from(own.jwks).toString()).keys[0];
    const plain = new TextEncoder().encode(JSON.stringify({ keys: [key] }));
    const { source } = await ready({ [KEY]: plain });
    expect(source.validate(own.token(ID, 'reports', { issuedAt: now }), 'reports').ok).toBe(true);
  });

  test('PermissionDenied on the live stream takes bundles and tokens away (C-05)', async () => {
    const { source, stream } = await ready();
    await tokenOf(source, { audience: 'reports' });
    stream.fail(Code.PermissionDenied, 'entry deleted');
    await once(events, 'denied');
    expect(source.bundles().size).toBe(0);
    server.answers.jwtSvid = () => {
      throw new ConnectError('no identity issued', Code.PermissionDenied);
    };
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_DENIED');
  });

  test.each([Code.InvalidArgument, Code.Unimplemented])(
    'status %i when opened is not tried again (C-01)',
    async (code) => {
      const refused = expect(open()).rejects.toThrow(/^Workload API: \w+: no such profile$/);
      (await server.nextJwtBundles()).fail(code, 'no such profile');
      await refused;
      expect(states.map(({ kind }) => kind)).toEqual(['failed']);
    },
  );

  test('denied at first, a cut connection, a closed stream: asked again (C-01)', async () => {
    const opening = open();
    (await server.nextJwtBundles()).fail(Code.PermissionDenied, 'not yet');
    await once(events, 'denied');
    const stream = await server.nextJwtBundles();
    stream.send({ bundles: { [KEY]: own.jwks as Uint8Array<ArrayBuffer> } });
    const source = await opening;
    server.cut();
    const again = await server.nextJwtBundles();
    expect([...source.bundles().keys()]).toEqual([OWN]);
    again.end();
    await server.nextJwtBundles();
  });
});

describe('tokens', () => {
  test('one comes for an audience and is good there, and nowhere else (A-09, JV-02, E-02)', async () => {
    const { source } = await ready();
    const headers: (string | null)[] = [];
    server.answers.jwtSvid = (_request, header) => {
      headers.push(header);
      return { svids: [entry(ID)] };
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
    const { source } = await ready();
    const first = await tokenOf(source, { audience: 'reports' });
    now = new Date(now.getTime() + 149_000);
    expect(await tokenOf(source, { audience: 'reports' })).toBe(first);
    expect(asked).toEqual(['reports']);
    now = new Date(now.getTime() + 2_000);
    expect(await tokenOf(source, { audience: 'reports' })).not.toBe(first);
    expect(asked).toEqual(['reports', 'reports']);
  });

  test('each audience and each ID has its own; the order of audiences does not matter', async () => {
    const { source } = await ready();
    server.answers.jwtSvid = ({ audience, spiffeId: id }) => {
      asked.push(`${audience.join()} ${id}`.trim());
      return { svids: [entry(id || ID, audience[0])] };
    };
    await tokenOf(source, { audience: 'a' });
    await tokenOf(source, { audience: 'b' });
    await tokenOf(source, { audience: 'a', id: spiffeId(OTHER_ID) });
    await tokenOf(source, { audience: 'a' });
    expect(asked).toEqual(['a', 'b', `a ${OTHER_ID}`]);
  });

  test('many who ask at once share one call', async () => {
    const { source } = await ready();
    const got = await Promise.all(
      Array.from({ length: 20 }, () => tokenOf(source, { audience: 'reports' })),
    );
    expect(new Set(got).size).toBe(1);
    expect(asked).toEqual(['reports']);
  });

  test('a hint picks; an unknown one and none give the first; of two alike the first (C-04)', async () => {
    const { source } = await ready();
    server.answers.jwtSvid = () => ({
      svids: [entry(ID, 'reports'), entry(OTHER_ID, 'reports', 'b'), entry(ID, 'reports', 'b')],
    });
    const idOf = async (hint?: string) => {
      const outcome = await source.token({ audience: 'reports', ...(hint && { hint }) });
      return outcome.ok ? outcome.value.id : outcome.code;
    };
    expect([await idOf(), await idOf('b'), await idOf('c')]).toEqual([ID, OTHER_ID, ID]);
  });

  test('a new bundle empties the cache: its key may have been taken out', async () => {
    const { source, stream } = await ready();
    await tokenOf(source, { audience: 'reports' });
    const next = jwtAuthority(OWN, 'k2');
    await pushed(stream, { [KEY]: next.jwks });
    await tokenOf(source, { audience: 'reports' });
    expect(asked).toHaveLength(2);
  });

  test('while the server does not answer, one that has not ended is still given', async () => {
    const { source } = await ready();
    const first = await tokenOf(source, { audience: 'reports' });
    server.answers.jwtSvid = () => {
      throw new ConnectError('starting', Code.Unavailable);
    };
    now = new Date(now.getTime() + 299_000);
    expect(await tokenOf(source, { audience: 'reports' })).toBe(first);
    now = new Date(now.getTime() + 1_000);
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_UNAVAILABLE');
  });

  test('PermissionDenied for a token ends the kept ones (C-05)', async () => {
    const { source } = await ready();
    await tokenOf(source, { audience: 'reports' });
    server.answers.jwtSvid = () => {
      throw new ConnectError('no identity issued', Code.PermissionDenied);
    };
    now = new Date(now.getTime() + 200_000);
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_DENIED');
    server.answers.jwtSvid = () => {
      throw new ConnectError('starting', Code.Unavailable);
    };
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_UNAVAILABLE');
  });

  test.each([
    ['no token', () => ({ svids: [] }), 'WORKLOAD_FIELD_EMPTY'],
    ['an empty token', () => ({ svids: [{ spiffeId: ID }] }), 'WORKLOAD_FIELD_EMPTY'],
    ['an empty ID', () => ({ svids: [{ svid: entry(ID).svid }] }), 'WORKLOAD_FIELD_EMPTY'],
    ['no JWT', () => ({ svids: [{ spiffeId: ID, svid: 'x' }] }), 'WORKLOAD_SVID_INVALID'],
    ['another audience', () => ({ svids: [entry(ID, 'db')] }), 'WORKLOAD_SVID_INVALID'],
    [
      'another subject',
      () => ({ svids: [{ ...entry(ID), spiffeId: OTHER_ID }] }),
      'WORKLOAD_SVID_INVALID',
    ],
  ])('an answer with %s is discarded (C-03, A-04)', async (_what, answer, code) => {
    const { source } = await ready();
    server.answers.jwtSvid = answer;
    expect(await tokenOf(source, { audience: 'reports' })).toBe(code);
    server.answers.jwtSvid = () => ({ svids: [entry(ID)] });
    expect((await source.token({ audience: 'reports' })).ok).toBe(true);
  });

  test('a token that has ended, or is of another ID than asked for, is not passed on (C-03)', async () => {
    const { source } = await ready();
    const ended = new Date(now.getTime() - 1_000);
    const issuedAt = new Date(now.getTime() - 9_000);
    const token = own.token(ID, 'reports', { issuedAt, notAfter: ended });
    server.answers.jwtSvid = () => ({ svids: [{ spiffeId: ID, svid: token }] });
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_SVID_INVALID');
    server.answers.jwtSvid = () => ({ svids: [entry(ID)] });
    const id = spiffeId(OTHER_ID);
    expect(await tokenOf(source, { audience: 'reports', id })).toBe('WORKLOAD_SVID_INVALID');
  });

  test('no audience is not asked for; a closed source gives none (A-04)', async () => {
    const { source } = await ready();
    expect(await tokenOf(source, { audience: '' })).toBe('WORKLOAD_REFUSED');
    source.close();
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_UNAVAILABLE');
    expect(asked).toEqual([]);
    expect(source.bundles().size).toBe(0);
  });

  test('a server that does not answer in time is unavailable, and the next call is its own', async () => {
    const { source } = await ready(undefined, { timeoutMs: 50 });
    server.answers.jwtSvid = () => new Promise(() => undefined);
    expect(await tokenOf(source, { audience: 'reports' })).toBe('WORKLOAD_UNAVAILABLE');
    server.answers.jwtSvid = () => ({ svids: [entry(ID)] });
    // The fast answer comes long before its own deadline on an idle machine; a busy one asks again.
    await expect.poll(() => source.token({ audience: 'reports' })).toMatchObject({ ok: true });
  });
});

describe('the server validates (C-07, A-11)', () => {
  test('what it says is passed on: who, and the claims', async () => {
    const { source } = await ready();
    server.answers.validate = ({ audience, svid }) => {
      const outcome = source.validate(svid, audience);
      if (!outcome.ok) throw new ConnectError(outcome.detail, Code.InvalidArgument);
      return { spiffeId: outcome.value.id, claims: { sub: outcome.value.id, aud: [audience] } };
    };
    const token = own.token(ID, 'reports', { issuedAt: now });
    expect(await source.validateAtServer(token, 'reports')).toEqual({
      ok: true,
      value: { id: ID, claims: { sub: ID, aud: ['reports'] } },
    });
    expect(await source.validateAtServer(token, 'db')).toMatchObject({ code: 'WORKLOAD_REFUSED' });
  });

  test('an answer that names nobody, and none at all, are no verdict (C-03)', async () => {
    const { source } = await ready();
    server.answers.validate = () => ({ claims: {} });
    expect(await source.validateAtServer('t', 'a')).toMatchObject({ code: 'WORKLOAD_FIELD_EMPTY' });
    server.answers.validate = () => ({ spiffeId: ID });
    expect(await source.validateAtServer('t', 'a')).toMatchObject({ code: 'WORKLOAD_FIELD_EMPTY' });
    server.answers.validate = () => {
      throw new ConnectError('starting', Code.Unavailable);
    };
    expect(await source.validateAtServer('t', 'a')).toMatchObject({ code: 'WORKLOAD_UNAVAILABLE' });
  });
});
