import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Authorities, openAuthorities } from '#identity/issuer/authorities.ts';
import type { Leaf } from '#identity/issuer/leaf.ts';
import { createSealer } from '#identity/issuer/sealing.ts';
import { openStore, type Store } from '#identity/issuer/store.ts';
import { createSvids, LOGGED_SELECTORS, type Svids } from '#identity/issuer/svids.ts';
import { sensorEntry, storedEntry, TRUST_DOMAIN } from './harness.ts';

let folder: string;
let store: Store;
let authorities: Authorities;
let now: Date;
let issued: { leaf: Leaf; onDisk: number }[];
const clock = () => now;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'svids-'));
  now = new Date('2026-06-01T00:00:00Z');
  issued = [];
  const opened = openStore(folder);
  if (!opened.ok) throw new Error(opened.detail);
  store = opened.value;
  const sealer = createSealer(randomBytes(32));
  const options = { store, sealer, trustDomain: TRUST_DOMAIN, clock, random: randomBytes };
  const made = await openAuthorities(options);
  if (!made.ok) throw new Error(made.detail);
  authorities = made.value;
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

function entry(ttl = 20) {
  return storedEntry({ x509_svid_ttl: ttl }, now);
}
/** @param jitter the two octets that decide it */
function make(jitter?: Uint8Array): Svids {
  return createSvids({
    store,
    authorities,
    clock,
    random: (size) => (size === 2 && jitter !== undefined ? jitter : randomBytes(size)),
    issued: (leaf) => issued.push({ leaf, onDisk: store.log().length }),
  });
}
async function first(svids: Svids, process: string, ttl = 20) {
  const found = await svids.forProcess(process, [entry(ttl)], []);
  if (!found.ok || found.value[0] === undefined) throw new Error('refused');
  return found.value[0];
}

test.each([
  ['00', 9],
  ['ff', 11],
  ['80', 10],
])('renewal is due at half-life ± 10 %, from the issue time (jitter %s)', async (hex, seconds) => {
  const svid = await first(make(Buffer.from(hex + hex, 'hex')), 'a');
  expect((svid.renewAt - now.getTime()) / 1000).toBeCloseTo(seconds, 1);
  expect(now.getTime() - svid.leaf.notBefore.getTime()).toBe(10_000);
});

test('a process keeps its SVID until it is due, and others have their own', async () => {
  const svids = make(Buffer.from('8000', 'hex'));
  const [one, other] = [await first(svids, 'a'), await first(svids, 'b')];
  expect(other.leaf.serial).not.toBe(one.leaf.serial);
  expect(Buffer.from(other.key).equals(one.key)).toBe(false);
  now = new Date(now.getTime() + 9900);
  expect((await first(svids, 'a')).leaf.serial).toBe(one.leaf.serial);
  now = new Date(now.getTime() + 200);
  const renewed = await first(svids, 'a');
  expect(renewed.leaf.serial).not.toBe(one.leaf.serial);
  expect(Buffer.from(renewed.key).equals(one.key)).toBe(false);
});

test('each issuance is on disk before it is announced; one turn is one transaction', async () => {
  const svids = make();
  const all = await Promise.all(['a', 'b', 'c', 'a'].map((name) => first(svids, name)));
  expect(all[3]?.leaf.serial).toBe(all[0]?.leaf.serial);
  expect(issued.map(({ onDisk }) => onDisk)).toEqual([3, 3, 3]);
  const logged = store.log().map((row) => JSON.parse(row.body));
  expect(logged.map((row) => row.serial)).toEqual(issued.map(({ leaf }) => leaf.serial));
  expect(logged[0]).toMatchObject({
    spiffe_id: sensorEntry().spiffe_id,
    thumbprint: all[0]?.leaf.thumbprint,
    entry_id: entry().id,
    authority_id: authorities.active().id,
  });
});

test('a store that cannot write hands nothing out, and tries again', async () => {
  const { recordIssuances } = store;
  let full = true;
  const failing: Store = {
    ...store,
    recordIssuances: (issuances) => {
      if (full) throw new Error('disk full');
      recordIssuances(issuances);
    },
  };
  const svids = createSvids({
    store: failing,
    authorities,
    clock,
    random: randomBytes,
    issued: (leaf) => issued.push({ leaf, onDisk: 0 }),
  });
  await expect(first(svids, 'a')).rejects.toThrow('disk full');
  expect(issued).toEqual([]);
  full = false;
  await first(svids, 'a');
  expect(store.log()).toHaveLength(1);
});

test('another signing authority renews at once; a forgotten process starts anew', async () => {
  const svids = make();
  const one = await first(svids, 'a');
  svids.forget('a');
  const two = await first(svids, 'a');
  expect(two.leaf.serial).not.toBe(one.leaf.serial);
  now = new Date(now.getTime() + 13 * 3_600_000);
  const before = await first(svids, 'a', 3600);
  await authorities.advance();
  expect((await first(svids, 'a', 3600)).leaf.serial).toBe(before.leaf.serial);
  now = new Date(now.getTime() + 8 * 3_600_000);
  const late = await first(svids, 'a', 3600);
  await authorities.advance();
  expect((await first(svids, 'a', 3600)).leaf.serial).not.toBe(late.leaf.serial);
});

test('an SVID ends with its entry, and is not renewed before', async () => {
  const svids = make();
  const ends = Math.floor(now.getTime() / 1000) + 12;
  const limited = storedEntry({ expires_at: ends }, now);
  const found = await svids.forProcess('a', [limited], []);
  if (!found.ok || found.value[0] === undefined) throw new Error('refused');
  const [svid] = found.value;
  expect(svid.leaf.notAfter.getTime()).toBe(ends * 1000);
  expect(svid.renewAt).toBe(ends * 1000);
  // Its twin without an end lives as long as its entry says.
  const twin = await first(make(), 'a');
  expect(twin.leaf.notAfter.getTime()).toBe(now.getTime() + 20_000);
});

test('of a caller with ever so many selectors the log has some: a row is one line of the link', async () => {
  const have = Array.from({ length: 5000 }, (_one, n) => ({
    type: 'unix',
    value: `supplementary_gid:${n}`,
  }));
  const found = await make().forProcess('p', [entry()], have);
  expect(found.ok).toBe(true);
  const [row] = store.log();
  expect(JSON.parse(row?.body ?? '').selectors).toHaveLength(LOGGED_SELECTORS);
});
