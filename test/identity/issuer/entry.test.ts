import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EntryInput, isExpired, parseEntry } from '#identity/issuer/entry.ts';
import { byAge, createEntryIndex } from '#identity/issuer/entry-index.ts';
import { rules, sensorEntry, storedEntry, TRUST_DOMAIN } from './harness.ts';

const NOW = new Date('2026-01-01T00:00:00Z');
const SECONDS = NOW.getTime() / 1000;
const parse = (changes: Partial<EntryInput> = {}, now = NOW) => storedEntry(changes, now);
const swarm = (value: string) => ({ type: 'swarm', value });
const LOCAL = new Set([`spiffe://${TRUST_DOMAIN}/spire/server`]);
const match = (
  entries: Parameters<typeof createEntryIndex>[0],
  selectors: Parameters<ReturnType<typeof createEntryIndex>['match']>[1],
  now = NOW,
) => createEntryIndex(entries).match(LOCAL, selectors, now);

describe('registration entries', () => {
  test.each<[string, Partial<EntryInput>]>([
    ['another trust domain', { spiffe_id: 'spiffe://other.example/a' }],
    ['no path', { spiffe_id: `spiffe://${TRUST_DOMAIN}` }],
    ['the reserved path', { spiffe_id: `spiffe://${TRUST_DOMAIN}/spire/agent/x` }],
    ['no SPIFFE ID', { spiffe_id: 'https://city.example/a' }],
    ['a parent of another trust domain', { parent_id: 'spiffe://other.example/spire/server' }],
    ['a parent that is no SPIFFE ID', { parent_id: 'node-1' }],
    ['a parent without a path', { parent_id: `spiffe://${TRUST_DOMAIN}` }],
    ['no selectors', { selectors: [] }],
    ['an empty selector', { selectors: [{ type: 'swarm', value: '' }] }],
    ['a selector type with a colon', { selectors: [{ type: 'unix:uid', value: '0' }] }],
    ['a lifetime below 10 s', { x509_svid_ttl: 9 }],
    ['a lifetime above a day', { x509_svid_ttl: 86_401 }],
    ['a broken lifetime', { x509_svid_ttl: 12.5 }],
    ['a lifetime of tokens below 10 s', { jwt_svid_ttl: 9 }],
    ['a DNS name that is none', { dns_names: ['a..b'] }],
    ['a hint above 1024 bytes (A-06)', { hint: 'x'.repeat(1025) }],
    ['an end that is no time', { expires_at: -1 }],
    ['an entry id with other characters', { id: 'a/b' }],
    ['a federation without a bundle', { federates_with: ['spiffe://other.example'] }],
    ['a federation with itself', { federates_with: [TRUST_DOMAIN] }],
    ['a federation with a workload', { federates_with: ['spiffe://other.example/a'] }],
  ])('%s is refused', (_name, changes) => {
    const refused = parseEntry(sensorEntry(changes), rules(NOW));
    expect(refused).toMatchObject({ ok: false, code: 'ENTRY_INVALID' });
    expect(parse({ x509_svid_ttl: 10 }).x509_svid_ttl).toBe(10);
  });

  test('what is not said has SPIRE’s defaults', () => {
    const { x509_svid_ttl: _ttl, ...input } = sensorEntry();
    const parsed = parseEntry({ ...input, jwt_svid_ttl: 0 }, rules(NOW));
    expect(parsed).toMatchObject({
      value: {
        parent_id: `spiffe://${TRUST_DOMAIN}/spire/server`,
        x509_svid_ttl: 3600,
        jwt_svid_ttl: 300,
        expires_at: 0,
        hint: '',
      },
    });
  });

  test('a federation whose bundle is held is taken, by name or by SPIFFE ID', () => {
    const held = { ...rules(NOW), federated: (domain: string) => domain === 'other.example' };
    for (const name of ['other.example', 'spiffe://other.example']) {
      const entry = parseEntry(sensorEntry({ federates_with: [name] }), held);
      expect(entry).toMatchObject({ value: { federates_with: ['other.example'] } });
    }
  });

  test('match when all selectors are in the caller’s set, and only then', () => {
    const entry = parse();
    const all = entry.selectors;
    expect(match([entry], [...all, swarm('more')])).toEqual([entry]);
    for (let missing = 0; missing < all.length; missing += 1) {
      expect(
        match(
          [entry],
          all.filter((_one, index) => index !== missing),
        ),
      ).toEqual([]);
    }
    expect(match([entry], [{ type: 'unix', value: all[0]?.value ?? '' }, ...all.slice(1)])).toEqual(
      [],
    );
  });

  test('are found among many as by comparing with each', () => {
    const words = ['a', 'b', 'c', 'd', 'e'];
    const subsets = Array.from({ length: 31 }, (_one, n) =>
      words.filter((_word, bit) => ((n + 1) >> bit) % 2 === 1),
    );
    const entries = subsets.map((set) => parse({ selectors: set.map(swarm), id: set.join('-') }));
    for (const set of subsets) {
      const found = match(entries, set.map(swarm)).map(({ id }) => id);
      const expected = subsets
        .filter((other) => other.every((word) => set.includes(word)))
        .map((other) => other.join('-'));
      expect(found.sort()).toEqual(expected.sort());
    }
  });

  test('are found the same after any additions and removals as in an index made anew', () => {
    const words = ['a', 'b', 'c', 'd'];
    const all = Array.from({ length: 15 }, (_one, n) => {
      const set = words.filter((_word, bit) => ((n + 1) >> bit) % 2 === 1);
      return parse({ selectors: set.map(swarm), id: set.join('-') });
    });
    fc.assert(
      fc.property(fc.array(fc.nat(14), { maxLength: 60 }), fc.subarray(words), (steps, have) => {
        const grown = createEntryIndex([]);
        const present = new Set<(typeof all)[number]>();
        for (const step of steps) {
          const entry = all[step] ?? parse();
          if (present.delete(entry)) grown.remove(entry);
          else {
            present.add(entry);
            grown.add(entry);
          }
        }
        const asked = have.map(swarm);
        expect(grown.match(LOCAL, asked, NOW)).toEqual(match([...present], asked));
        const [parent = ''] = LOCAL;
        expect(grown.childrenOf(parent, NOW)).toEqual([...present].sort(byAge));
      }),
    );
  });

  test('of another parent are not for who is here', () => {
    const elsewhere = parse({ parent_id: `spiffe://${TRUST_DOMAIN}/spire/agent/join_token/x` });
    expect(match([elsewhere], elsewhere.selectors)).toEqual([]);
    expect(match([parse()], elsewhere.selectors)).toHaveLength(1);
  });

  test('give nothing from the second on in which they end', () => {
    const entry = parse({ expires_at: SECONDS + 5 });
    const at = (ms: number) => new Date(NOW.getTime() + ms);
    expect(match([entry], entry.selectors, at(4999))).toEqual([entry]);
    expect(match([entry], entry.selectors, at(5000))).toEqual([]);
    expect(isExpired(parse(), new Date('9999-01-01'))).toBe(false);
  });

  test('a hint is unique in an answer: the older entry wins (A-06)', () => {
    const old = parse({ hint: 'main', id: 'old' });
    const young = parse({ hint: 'main', id: 'a' }, new Date('2026-02-01'));
    expect(match([young, old], old.selectors)).toEqual([old]);
    const other = parse({ hint: 'other', id: 'a' }, new Date('2026-02-01'));
    expect(match([other, old], old.selectors)).toEqual([old, other]);
  });
});
