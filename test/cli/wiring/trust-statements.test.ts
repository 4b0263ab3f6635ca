import { expect, test } from 'vitest';
import { createTrustStatements } from '#cli/wiring/trust-statements.ts';
import type { AuthorityStatement, BundleStatement } from '#custody/log/statement.ts';
import type { AuthoritiesReply } from '#identity/issuer/launcher-link.ts';
import { accept } from '#identity/outcome.ts';
import type { Administered } from '#runtime/launcher/issuer-link.ts';

type Key = AuthoritiesReply['authorities'][number];
const key = (id: string, state: string, use: Key['use'] = 'x509'): Key => ({
  id,
  use,
  state,
  not_before: 1,
  not_after: 2,
  fingerprint: id.repeat(43).slice(0, 43),
  certificate: '',
});

/** An issuer with these keys, whose bundle document has a sequence. */
function setUp() {
  const issuer = { keys: [] as Key[], sequence: 1 };
  const stated: (AuthorityStatement | BundleStatement)[] = [];
  const link = {
    authorities: async () => accept({ authorities: issuer.keys }),
    bundleDocument: async () =>
      accept({
        trustDomain: 'city.example',
        document: JSON.stringify({ spiffe_sequence: issuer.sequence, keys: issuer.keys.length }),
      }),
  } as unknown as Administered;
  const trust = createTrustStatements({
    issuer: { administer: (question) => question(link) },
    state: (statement) => stated.push(statement),
  });
  const look = async () => {
    trust.look();
    await new Promise((resolve) => setImmediate(resolve));
    return stated.splice(0);
  };
  return { issuer, look };
}

test('every key is stated in its first state, and the bundle that has them', async () => {
  const { issuer, look } = setUp();
  issuer.keys = [key('a', 'active'), key('j', 'active', 'jwt')];
  expect(await look()).toEqual([
    expect.objectContaining({ kind: 'authority', authority: 'a', use: 'x509', state: 'active' }),
    expect.objectContaining({ kind: 'authority', authority: 'j', use: 'jwt', state: 'active' }),
    expect.objectContaining({ kind: 'bundle', domain: 'city.example', sequence: 1 }),
  ]);
});

test('then only what has changed: a new key, another state, one that is gone, another bundle', async () => {
  const { issuer, look } = setUp();
  issuer.keys = [key('a', 'active')];
  await look();
  expect(await look()).toEqual([]);
  issuer.keys = [key('a', 'active'), key('b', 'prepared')];
  issuer.sequence = 2;
  expect(await look()).toMatchObject([
    { authority: 'b', state: 'prepared' },
    { kind: 'bundle', sequence: 2 },
  ]);
  issuer.keys = [key('a', 'old'), key('b', 'active')];
  expect(await look()).toMatchObject([
    { authority: 'a', state: 'old' },
    { authority: 'b', state: 'active' },
  ]);
  issuer.keys = [key('b', 'active')];
  expect(await look()).toMatchObject([{ authority: 'a', state: 'gone' }, { kind: 'bundle' }]);
});
