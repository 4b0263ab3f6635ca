import { describe, expect, test } from 'vitest';
import { readEntriesJson, writeEntriesJson } from '#identity/issuer/entry-json.ts';
import { storedEntry, TRUST_DOMAIN } from './harness.ts';

/** What `spire-server entry create -data` reads, with every field that it has. */
const FILE = {
  entries: [
    {
      entry_id: 'db',
      spiffe_id: `spiffe://${TRUST_DOMAIN}/database`,
      parent_id: `spiffe://${TRUST_DOMAIN}/spire/agent/x509pop/1`,
      selectors: [{ type: 'unix', value: 'uid:1111' }],
      x509_svid_ttl: 200,
      jwt_svid_ttl: 30,
      federates_with: ['spiffe://other.example'],
      hint: 'external',
      admin: false,
      downstream: false,
      entryExpiry: 1552410266,
      dns_names: ['unu1000', 'ung1000'],
      revision_number: 4,
      store_svid: false,
      created_at: 1700000000,
      additional_attributes: { disable_x509_svid_prefetch: false, jwt_svid_include_jti: true },
    },
  ],
};
/** The same as `spire-server entry show -output json` prints it. */
const SHOWN = {
  entries: [
    {
      id: 'db',
      spiffe_id: { trust_domain: TRUST_DOMAIN, path: '/database' },
      parent_id: { trust_domain: TRUST_DOMAIN, path: '/spire/agent/x509pop/1' },
      selectors: [{ type: 'unix', value: 'uid:1111' }],
      x509_svid_ttl: 200,
      jwt_svid_ttl: 30,
      federates_with: ['spiffe://other.example'],
      hint: 'external',
      admin: false,
      downstream: false,
      expires_at: '1552410266',
      dns_names: ['unu1000', 'ung1000'],
      revision_number: '4',
      store_svid: false,
      created_at: '1700000000',
      additional_attributes: { jwt_svid_include_jti: true },
    },
  ],
  next_page_token: '',
};

const read = (document: unknown) => readEntriesJson(JSON.stringify(document));
const withField = (changes: object) => read({ entries: [{ ...FILE.entries[0], ...changes }] });

describe('entries as JSON', () => {
  test('both spellings of SPIRE say the same', () => {
    const file = read(FILE);
    expect(file).toMatchObject({ ok: true });
    expect(read(SHOWN)).toEqual(file);
    expect(file).toMatchObject({
      value: [
        {
          id: 'db',
          spiffe_id: `spiffe://${TRUST_DOMAIN}/database`,
          expires_at: 1552410266,
          jwt_svid_ttl: 30,
          jwt_svid_include_jti: true,
          dns_names: ['unu1000', 'ung1000'],
        },
      ],
    });
  });

  test('what is written is read again as the same entry', () => {
    const entry = storedEntry({
      jwt_svid_ttl: 60,
      hint: 'h',
      dns_names: ['a.example'],
      expires_at: 4102444800,
      jwt_svid_include_jti: true,
    });
    const again = read(writeEntriesJson([entry]));
    const { revision_number: _revision, created_at: _created, ...input } = entry;
    const { federates_with: _none, ...expected } = input;
    expect(again).toEqual({ ok: true, value: [expected] });
  });

  test.each<[string, object, string]>([
    ['a field that nobody knows', { spiffe_idd: 'x' }, 'unknown field "spiffe_idd"'],
    ['a field of another case', { Selectors: [] }, 'unknown field "Selectors"'],
    ['admin', { admin: true }, 'admin is not supported'],
    ['downstream', { downstream: true }, 'downstream is not supported'],
    ['store_svid', { store_svid: true }, 'store_svid is not supported'],
    ['an unknown attribute', { additional_attributes: { x: 1 } }, '"additional_attributes.x"'],
    [
      'no prefetch',
      { additional_attributes: { disable_x509_svid_prefetch: true } },
      'disable_x509_svid_prefetch',
    ],
    ['one thing in two spellings', { expires_at: 1 }, 'two spellings'],
    ['a TTL that is text', { x509_svid_ttl: 'soon' }, 'x509_svid_ttl is not a number'],
    ['a TTL with a fraction', { x509_svid_ttl: 1.5 }, 'x509_svid_ttl is not a number'],
    ['selectors that are none', { selectors: [{ type: 'unix' }] }, 'selectors is not a list'],
    ['a selector with more', { selectors: [{ type: 'a', value: 'b', c: 1 }] }, 'selectors is not'],
    ['an ID in three parts', { spiffe_id: { trust_domain: 'a', path: '/b', c: 1 } }, 'spiffe_id'],
    ['DNS names that are no texts', { dns_names: [1] }, 'dns_names is not'],
  ])('%s is refused by its name', (_name, changes, why) => {
    const refused = withField(changes);
    expect(refused).toMatchObject({ code: 'ENTRY_INVALID' });
    expect(refused.ok ? '' : refused.detail).toContain(why);
    expect(refused.ok ? '' : refused.detail).toContain('entry 0');
    expect(withField({})).toMatchObject({ ok: true });
  });

  test.each([
    ['no JSON', '{'],
    ['a name twice', '{"entries":[],"entries":[]}'],
    ['a list', '[]'],
    ['one entry alone', JSON.stringify(FILE.entries[0])],
    ['more beside the entries', '{"entries":[],"more":1}'],
    ['an entry without ID', '{"entries":[{"selectors":[]}]}'],
    ['an entry without selectors', '{"entries":[{"spiffe_id":"spiffe://a/b"}]}'],
    ['an entry that is null', '{"entries":[null]}'],
  ])('%s is no file of entries', (_name, text) => {
    expect(readEntriesJson(text)).toMatchObject({ code: 'ENTRY_INVALID' });
  });
});
