import { describe, expect, test } from 'vitest';
import { type EntryInput, matchEntries, parseEntry } from '#identity/issuer/entry.ts';
import { sensorEntry, TRUST_DOMAIN } from './harness.ts';

const NOW = new Date('2026-01-01T00:00:00Z');
const parse = (changes: Partial<EntryInput> = {}, now = NOW) => {
  const entry = parseEntry(sensorEntry(changes), TRUST_DOMAIN, now);
  if (!entry.ok) throw new Error(entry.detail);
  return entry.value;
};
const swarm = (value: string) => ({ type: 'swarm', value });

describe('registration entries', () => {
  test.each<[string, Partial<EntryInput>]>([
    ['another trust domain', { spiffe_id: 'spiffe://other.example/a' }],
    ['no path', { spiffe_id: `spiffe://${TRUST_DOMAIN}` }],
    ['the reserved path', { spiffe_id: `spiffe://${TRUST_DOMAIN}/spire/agent/x` }],
    ['no SPIFFE ID', { spiffe_id: 'https://city.example/a' }],
    ['no selectors', { selectors: [] }],
    ['an empty selector', { selectors: [{ type: 'swarm', value: '' }] }],
    ['a lifetime below 10 s', { x509_svid_ttl: 9 }],
    ['a lifetime above a day', { x509_svid_ttl: 86_401 }],
    ['a broken lifetime', { x509_svid_ttl: 12.5 }],
    ['a DNS name that is none', { dns_names: ['a..b'] }],
    ['a hint above 1024 bytes (A-06)', { hint: 'x'.repeat(1025) }],
  ])('%s is refused', (_name, changes) => {
    const refused = parseEntry(sensorEntry(changes), TRUST_DOMAIN, NOW);
    expect(refused).toMatchObject({ ok: false, code: 'ENTRY_INVALID' });
    expect(parse({ x509_svid_ttl: 10 }).x509_svid_ttl).toBe(10);
  });

  test('match when all selectors are in the caller’s set, and only then', () => {
    const entry = parse();
    const all = entry.selectors;
    expect(matchEntries([entry], [...all, swarm('more')])).toEqual([entry]);
    for (let missing = 0; missing < all.length; missing += 1) {
      expect(
        matchEntries(
          [entry],
          all.filter((_one, index) => index !== missing),
        ),
      ).toEqual([]);
    }
    expect(
      matchEntries([entry], [{ type: 'unix', value: all[0]?.value ?? '' }, ...all.slice(1)]),
    ).toEqual([]);
  });

  test('a hint is unique in an answer: the older entry wins (A-06)', () => {
    const old = parse({ hint: 'main', id: 'old' });
    const young = parse({ hint: 'main', id: 'a' }, new Date('2026-02-01'));
    expect(matchEntries([young, old], old.selectors)).toEqual([old]);
    const other = parse({ hint: 'other', id: 'a' }, new Date('2026-02-01'));
    expect(matchEntries([other, old], old.selectors)).toEqual([old, other]);
  });
});
