import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createAuthority } from '#identity/issuer/authority.ts';
import { createRemoteSvids } from '#identity/node/remote-svids.ts';
import { createRemoteTokens } from '#identity/node/remote-tokens.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { X509Svid } from '#identity/svid.ts';
import { keyPair, storedEntry, TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';
import { codeOf } from './support.ts';

const authority = await createAuthority(TRUST_DOMAIN, new Date(), randomBytes(16));
const key = keyPair().privateKey;
let serial = 0;

/** An issuer that gives SVIDs for the ids that it knows, unless it is away. */
function setUp() {
  const state = {
    away: false,
    known: new Set<string>(),
    asked: [] as (readonly string[])[],
    now: 0,
  };
  const clock = () => new Date(state.now);
  const svidOf = (): X509Svid => ({
    id: storedEntry().spiffe_id,
    certificates: [authority.certificate],
    key,
    notBefore: clock(),
    notAfter: new Date(state.now + 20_000),
    serial: String(++serial),
    thumbprint: '',
    hint: '',
  });
  const svids = createRemoteSvids({
    clock,
    random: () => Buffer.from('8000', 'hex'),
    svids: async (ids) => {
      state.asked.push(ids);
      if (state.away) return refuse('NODE_UNREACHABLE', 'away');
      return ids.every((id) => state.known.has(id))
        ? accept(new Map(ids.map((id) => [id, svidOf()])))
        : refuse('ENTRY_UNKNOWN', 'one of them');
    },
  });
  const entry = (id: string) => {
    state.known.add(id);
    return storedEntry({ id, spiffe_id: `spiffe://${TRUST_DOMAIN}/edge/${id}` });
  };
  const serials = async (
    found: Outcome<readonly { leaf: { serial: string } }[]> | Promise<unknown>,
  ) => {
    const outcome = (await found) as Outcome<readonly { leaf: { serial: string } }[]>;
    return outcome.ok ? outcome.value.map(({ leaf }) => leaf.serial) : outcome.code;
  };
  return { state, svids, entry, serials };
}

describe('SVIDs that a node keeps for its workloads', () => {
  test('are asked for in one request, kept until half of their life is over, and of each process', async () => {
    const { state, svids, entry, serials } = setUp();
    const both = [entry('a'), entry('b')];
    const first = await serials(svids.forProcess('1', both, []));
    expect(state.asked).toEqual([['a', 'b']]);
    // At once: nothing is asked, so nothing is waited for.
    expect(svids.forProcess('1', both, [])).not.toBeInstanceOf(Promise);
    expect(await serials(svids.forProcess('2', both, []))).not.toEqual(first);
    state.now = 9900;
    expect(await serials(svids.forProcess('1', both, []))).toEqual(first);
    state.now = 10_100;
    expect(await serials(svids.forProcess('1', both, []))).not.toEqual(first);
  });

  test('two streams of one process wait for one SVID', async () => {
    const { state, svids, entry, serials } = setUp();
    const a = [entry('a')];
    const streams = [1, 2, 3].map(() => serials(svids.forProcess('1', a, [])));
    const [one, two, three] = await Promise.all(streams);
    expect([two, three]).toEqual([one, one]);
    expect(state.asked).toHaveLength(1);
  });

  test('an entry that went meanwhile costs the others nothing', async () => {
    const { state, svids, entry, serials } = setUp();
    const all = [entry('a'), entry('gone'), entry('b')];
    state.known.delete('gone');
    expect(await serials(svids.forProcess('1', all, []))).toHaveLength(2);
    state.known.clear();
    expect(await serials(svids.forProcess('2', all, []))).toBe('NO_ENTRY');
  });

  test('while the issuer is away, what it has is good to its end, and no longer', async () => {
    const { state, svids, entry, serials } = setUp();
    const a = [entry('a')];
    const first = await serials(svids.forProcess('1', a, []));
    state.away = true;
    expect(await serials(svids.forProcess('2', a, []))).toBe('NODE_OFFLINE');
    state.now = 15_000;
    expect(await serials(svids.forProcess('1', a, []))).toEqual(first);
    const asked = state.asked.length;
    state.now = 19_000;
    // It is not asked at each message.
    expect(await serials(svids.forProcess('1', a, []))).toEqual(first);
    expect(state.asked).toHaveLength(asked);
    state.now = 20_001;
    expect(await serials(svids.forProcess('1', a, []))).toBe('NODE_OFFLINE');
    state.away = false;
    expect(await serials(svids.forProcess('1', a, []))).toHaveLength(1);
  });

  test('what was taken away is forgotten; what comes back is new', async () => {
    const { svids, entry, serials } = setUp();
    const a = [entry('a')];
    const first = await serials(svids.forProcess('1', a, []));
    svids.withdraw(a);
    expect(await serials(svids.forProcess('1', a, []))).not.toEqual(first);
  });

  test('an entry that was removed and added with other content in between is another one', async () => {
    const { svids, entry, serials } = setUp();
    const a = entry('a');
    const first = await serials(svids.forProcess('1', [a], []));
    expect(await serials(svids.forProcess('1', [{ ...a }], []))).toEqual(first);
    const added = { ...a, spiffe_id: storedEntry().spiffe_id };
    expect(added.revision_number).toBe(a.revision_number);
    expect(await serials(svids.forProcess('1', [added], []))).not.toEqual(first);
  });

  test('more than one request takes are asked for in several', async () => {
    const { state, svids, entry, serials } = setUp();
    const many = Array.from({ length: 250 }, (_one, n) => entry(`e${n}`));
    expect(await serials(svids.forProcess('1', many, []))).toHaveLength(250);
    expect(state.asked.map((ids) => ids.length)).toEqual([100, 100, 50]);
  });
});

describe('tokens that a node keeps for its workloads', () => {
  function tokensOf() {
    const state = { now: 0, made: 0, code: '' };
    const tokens = createRemoteTokens({
      clock: () => new Date(state.now),
      token: async () => {
        if (state.code !== '') return refuse(state.code as 'NODE_UNREACHABLE', 'no');
        state.made += 1;
        const expiresAt = new Date(state.now + 60_000);
        return accept({ token: `t${state.made}`, issuedAt: new Date(state.now), expiresAt });
      },
    });
    const ask = async (process: string, audience: string, jti = false) => {
      const entry = storedEntry({ jwt_svid_include_jti: jti });
      const made = await tokens.forProcess(process, [entry], [audience], []);
      return made.ok ? made.value[0]?.token : codeOf(made);
    };
    return { state, ask, tokens };
  }

  test('are kept per process and audience until half of their life is over; with a jti, never', async () => {
    const { state, ask } = tokensOf();
    expect(await ask('1', 'bank')).toBe('t1');
    expect(await ask('1', 'bank')).toBe('t1');
    expect(await ask('1', 'shop')).toBe('t2');
    expect(await ask('2', 'bank')).toBe('t3');
    state.now = 30_001;
    expect(await ask('1', 'bank')).toBe('t4');
    expect(await ask('1', 'bank', true)).toBe('t5');
    expect(await ask('1', 'bank', true)).toBe('t6');
  });

  test('while the issuer is away, one that is there is good to its end', async () => {
    const { state, ask, tokens } = tokensOf();
    await ask('1', 'bank');
    state.code = 'NODE_UNREACHABLE';
    state.now = 40_000;
    expect(await ask('1', 'bank')).toBe('t1');
    expect(await ask('1', 'shop')).toBe('NODE_OFFLINE');
    state.now = 60_000;
    expect(await ask('1', 'bank')).toBe('NODE_OFFLINE');
    tokens.sweep();
    state.code = 'TOKENS_TOO_MANY';
    expect(await ask('1', 'bank')).toBe('TOKENS_TOO_MANY');
    state.code = 'ENTRY_UNKNOWN';
    expect(await ask('1', 'bank')).toBe('NOT_ENTITLED');
    state.code = '';
    expect(await ask('1', 'bank')).toBe('t2');
  });
});
