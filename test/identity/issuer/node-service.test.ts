import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openAuthorities } from '#identity/issuer/authorities.ts';
import { openJwtAuthorities } from '#identity/issuer/jwt-authorities.ts';
import { createJwtSvids, TOKENS_PER_MINUTE } from '#identity/issuer/jwt-svids.ts';
import { createNodeService, type Node, type NodeService } from '#identity/issuer/node-service.ts';
import { openRegistry, type Registry } from '#identity/issuer/registry.ts';
import { createSealer } from '#identity/issuer/sealing.ts';
import { openStore, type Store } from '#identity/issuer/store.ts';
import { proveKey, readTokenRequest } from '#identity/node/protocol.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { codeOf, must } from '#test/identity/node/support.ts';
import { keyPair, sensorEntry, TRUST_DOMAIN } from './harness.ts';

const exported = randomBytes(32);
const pair = keyPair();
const spki = pair.publicKey.export({ type: 'spki', format: 'der' });
const key = {
  publicKey: spki.toString('base64'),
  proof: proveKey(exported, spki, pair.privateKey),
};

describe('what a node may have', () => {
  let folder: string;
  let store: Store;
  let registry: Registry;
  let service: NodeService;
  let node: Node;
  let entryId: string;
  let now: Date;
  let evictions: number;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'nodes-'));
    store = must(openStore(folder));
    now = new Date('2026-06-01T00:00:00Z');
    evictions = 0;
    const clock = () => now;
    const random = randomBytes;
    const parts = {
      store,
      sealer: createSealer(randomBytes(32)),
      trustDomain: TRUST_DOMAIN,
      clock,
    };
    const authorities = must(await openAuthorities({ ...parts, random }));
    const jwtAuthorities = must(await openJwtAuthorities(parts));
    registry = openRegistry({
      ...parts,
      federated: () => false,
      launcher: 'l',
      changed: () => {},
    });
    service = createNodeService({
      ...parts,
      authorities,
      registry,
      random,
      jwtSvids: createJwtSvids({ store, authorities: jwtAuthorities, clock, random }),
      evicted: () => {
        evictions += 1;
      },
    });
    const { token, agentId } = must(service.createToken(600));
    const leaf = must(service.attest({ token, ...key }, exported));
    node = { id: spiffeId(agentId), serial: leaf.serial };
    const [entry] = must(registry.add([sensorEntry({ parent_id: agentId, jwt_svid_ttl: 60 })]));
    entryId = entry?.id ?? '';
  });
  afterEach(() => {
    store.close();
    rmSync(folder, { recursive: true });
  });
  const svids = (count: number, id = entryId) =>
    service.svids(
      node,
      Array.from({ length: count }, () => ({ entryId: id, ...key })),
      exported,
    );
  const token = (audience: string) => service.token(node, { entryId, audience: [audience] });

  test('SVIDs of one request are one transaction, and all or none', () => {
    const before = store.head().seq;
    expect(must(svids(3)).map(({ leaf }) => leaf.id)).toEqual(
      Array(3).fill(sensorEntry().spiffe_id),
    );
    expect(store.head().seq).toBe(before + 3);
    const one = { entryId, ...key };
    const mixed = service.svids(node, [one, { ...one, entryId: 'other' }], exported);
    expect(codeOf(mixed)).toBe('ENTRY_UNKNOWN');
    const unproven = service.svids(node, [one, { ...one, proof: 'AAAA' }], exported);
    expect(codeOf(unproven)).toBe('NODE_KEY_UNPROVEN');
    expect(store.head().seq).toBe(before + 3);
  });

  test('a node that was taken over cannot fill the log: so many a minute are SVIDS_TOO_MANY', () => {
    for (let batch = 0; batch < 60; batch += 1) expect(codeOf(svids(100))).toBe('OK');
    expect(codeOf(svids(1))).toBe('SVIDS_TOO_MANY');
    now = new Date(now.getTime() + 60_000);
    expect(codeOf(svids(1))).toBe('OK');
  });

  test('nor by renewing itself; what its workloads need is counted apart, so a busy node still renews', () => {
    for (let batch = 0; batch < 60; batch += 1) svids(100);
    expect(codeOf(svids(1))).toBe('SVIDS_TOO_MANY');
    const renew = () => codeOf(service.renew(node, key, exported));
    for (let n = 0; n < 60; n += 1) expect(renew()).toBe('OK');
    const before = store.head().seq;
    expect(renew()).toBe('SVIDS_TOO_MANY');
    expect(store.head().seq).toBe(before);
    now = new Date(now.getTime() + 60_000);
    expect(renew()).toBe('OK');
    expect(codeOf(svids(1))).toBe('OK');
  });

  test('tokens of one entry of a node are bounded, too', async () => {
    for (let n = 1; n < TOKENS_PER_MINUTE; n += 1) await token(`audience-${n}`);
    expect(codeOf(await token('bank'))).toBe('OK');
    expect(codeOf(await token('one more'))).toBe('TOKENS_TOO_MANY');
    // What it holds already is no new one.
    expect(codeOf(await token('bank'))).toBe('OK');
    now = new Date(now.getTime() + 60_000);
    expect(codeOf(await token('one more'))).toBe('OK');
  });

  test('evicted, it is nobody: neither present nor renewed, and a token under way is not handed out', async () => {
    expect(codeOf(service.present(node))).toBe('OK');
    expect(codeOf(service.renew(node, key, exported))).toBe('OK');
    const underWay = token('bank');
    expect(must(service.evict(node.id))).toMatchObject({
      id: node.id,
      seenAt: now.getTime() / 1000,
    });
    expect(evictions).toBe(1);
    expect(codeOf(await underWay)).toBe('NODE_UNKNOWN');
    expect(codeOf(service.present(node))).toBe('NODE_UNKNOWN');
    expect(codeOf(service.renew(node, key, exported))).toBe('NODE_UNKNOWN');
    expect(codeOf(service.evict(node.id))).toBe('NODE_UNKNOWN');
    expect(service.list()).toEqual([]);
  });
});

test.each<[string, unknown]>([
  ['no audience', { entryId: 'a', audience: [] }],
  ['an empty one', { entryId: 'a', audience: ['b', ''] }],
  ['one that is no text', { entryId: 'a', audience: [1] }],
  ['a text for a list', { entryId: 'a', audience: 'bank' }],
  ['one beyond the limit', { entryId: 'a', audience: ['b'.repeat(2049)] }],
  ['no entry', { audience: ['b'] }],
  ['more members', { entryId: 'a', audience: ['b'], ttl: 9 }],
])('a request for a token with %s is not read', (_name, request) => {
  expect(readTokenRequest(request as never)).toBeUndefined();
  expect(readTokenRequest({ entryId: 'a', audience: ['b'] })).toBeDefined();
});
