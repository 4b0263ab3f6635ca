import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duplexPair } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectLauncherLink } from '#identity/issuer/launcher-link.ts';
import { MAX_LINE_BYTES } from '#identity/issuer/lines.ts';
import { type LinkHandlers, serveLauncherLink } from '#identity/issuer/link-server.ts';
import type { Issuance } from '#identity/issuer/log.ts';
import { createOutbox } from '#identity/issuer/outbox.ts';
import { openStore, type Store } from '#identity/issuer/store.ts';
import { thumbprintOf } from '#identity/x509/verify.ts';
import { Bench, keyPair, TRUST_DOMAIN } from './harness.ts';

const NATS = `spiffe://${TRUST_DOMAIN}/platform/nats`;

function issuance(n: number, more: Partial<Issuance> = {}): Issuance {
  return {
    kind: 'x509',
    spiffe_id: `spiffe://${TRUST_DOMAIN}/agent/a/${n}`,
    serial: `${n}`,
    thumbprint: 't',
    selectors: ['unix:uid:0'],
    entry_id: 'e',
    authority_id: 'a',
    issued_at: n,
    not_before: n,
    not_after: n,
    ...more,
  };
}
const token = (n: number) => issuance(n, { kind: 'jwt', serial: '', audience: ['bank'] });

describe('the outbox as it is told', () => {
  let folder: string;
  let store: Store;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'outbox-'));
    const opened = openStore(folder);
    if (!opened.ok) throw new Error(opened.detail);
    store = opened.value;
  });
  afterEach(() => {
    store.close();
    rmSync(folder, { recursive: true });
  });
  const seqs = (after = 0) => {
    const { rows, upTo } = createOutbox(store).pending(after);
    return { rows: rows.map(({ seq }) => seq), upTo };
  };

  test('has every X.509 issuance in order, and of tokens only that they were passed', () => {
    store.recordIssuances([issuance(1), token(2), issuance(3), token(4)]);
    expect(seqs()).toEqual({ rows: [1, 3], upTo: 4 });
    expect(seqs(1)).toEqual({ rows: [3], upTo: 4 });
    expect(seqs(4)).toEqual({ rows: [], upTo: 4 });
    const told = JSON.stringify(createOutbox(store).pending(0));
    expect(told).not.toContain('bank');
  });

  test('has what is not acknowledged, also after the issuer has ended', () => {
    store.recordIssuances([issuance(1), issuance(2)]);
    createOutbox(store).acknowledge(1);
    store.close();
    const again = openStore(folder);
    if (!again.ok) throw new Error(again.detail);
    store = again.value;
    expect(seqs()).toEqual({ rows: [2], upTo: 2 });
    createOutbox(store).acknowledge(2);
    expect(seqs()).toEqual({ rows: [], upTo: 0 });
  });

  test('is told in pages that the link takes, whatever a workload had logged', () => {
    const selectors = Array.from({ length: 3000 }, (_, n) => `unix:supplementary_gid:${n}`);
    const rows = Array.from({ length: 40 }, (_, n) => issuance(n + 1, { selectors }));
    store.recordIssuances(rows);
    const found: number[] = [];
    for (let after = 0; ; ) {
      const page = createOutbox(store).pending(after);
      expect(JSON.stringify(page).length).toBeLessThan(MAX_LINE_BYTES / 2);
      if (page.rows.length === 0) break;
      found.push(...page.rows.map(({ seq }) => seq));
      after = page.upTo;
    }
    expect(found).toEqual(rows.map((_, n) => n + 1));
  });
});

test('the launcher reads what a caller had whatever its length, and reads on after rows without form', async () => {
  const path = `unix:path:/${'p'.repeat(4095)}`;
  const bodies = [
    JSON.stringify(issuance(1, { selectors: [path] })),
    JSON.stringify({ ...issuance(2), spiffe_id: 7 }),
    'no JSON',
    'null',
    JSON.stringify(issuance(5)),
  ];
  const rows = bodies.map((body, n) => ({ seq: n + 1, previous: '', body, hash: '' }));
  const outbox = createOutbox({
    pending: (limit, after = 0) => rows.slice(after, after + limit),
    acknowledge: () => {},
    authorities: () => [],
    jwtAuthorities: () => [],
  });
  const [near, far] = duplexPair();
  const link = connectLauncherLink(near, keyPair().privateKey);
  const server = serveLauncherLink(far, { ...outbox, closed: () => {} } as LinkHandlers);
  expect(await link.pending(0)).toMatchObject({
    ok: true,
    value: {
      rows: [{ seq: 1, issuance: { selectors: [path] } }, { seq: 5 }],
      unreadable: [2, 3, 4],
      upTo: 5,
    },
  });
  server.close();
});

describe('over the launcher link', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = new Bench();
    await bench.start();
  });
  afterEach(() => bench.stop());

  test('the launcher is told of rows, reads them and acknowledges them', async () => {
    const told = new Promise((resolve) => bench.link.on('outbox', resolve));
    const minted = await bench.link.mint({
      spiffeId: NATS,
      publicKey: keyPair().publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
      ttl: 3600,
    });
    if (!minted.ok) throw new Error(minted.detail);
    await told;
    const [leaf = new Uint8Array()] = minted.value.chain;
    const pending = await bench.link.pending(0);
    expect(pending).toMatchObject({
      ok: true,
      value: {
        rows: [{ issuance: { spiffe_id: NATS, entry_id: 'mint', thumbprint: thumbprintOf(leaf) } }],
      },
    });
    if (!pending.ok) return;
    expect(await bench.link.acknowledge(pending.value.upTo)).toMatchObject({ ok: true });
    expect(await bench.link.pending(0)).toMatchObject({ value: { rows: [] } });
    expect(bench.issuer.pending(10)).toEqual([]);
  });

  test('the launcher reads the keys of the trust domain, in their states', async () => {
    const bundle = await bench.link.bundle();
    const read = await bench.link.authorities();
    if (!bundle.ok || !read.ok) throw new Error('refused');
    const [root = new Uint8Array()] = bundle.value.authorities;
    const x509 = read.value.authorities.filter(({ use }) => use === 'x509');
    expect(x509).toMatchObject([{ state: 'active', fingerprint: thumbprintOf(root) }]);
    expect(x509[0]?.not_after).toBe(new X509Certificate(root).validToDate.getTime() / 1000);
    const jwt = read.value.authorities.filter(({ use }) => use === 'jwt');
    expect(jwt).toMatchObject([{ state: 'active' }]);
  });
});
