import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type JwtAuthorities, openJwtAuthorities } from '#identity/issuer/jwt-authorities.ts';
import { createSealer } from '#identity/issuer/sealing.ts';
import { openStore, type Store } from '#identity/issuer/store.ts';
import { TRUST_DOMAIN } from './harness.ts';

const HOUR = 3_600_000;

describe('journal of JWT authorities', () => {
  let folder: string;
  let store: Store;
  let now: Date;
  const sealer = createSealer(randomBytes(32));
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'jwt-'));
    now = new Date('2026-06-01T00:00:00Z');
    store = openedStore();
  });
  afterEach(() => {
    store.close();
    rmSync(folder, { recursive: true });
  });
  function openedStore(): Store {
    const opened = openStore(folder);
    if (!opened.ok) throw new Error(opened.detail);
    return opened.value;
  }
  async function start(seal = sealer): Promise<JwtAuthorities> {
    const options = { store, sealer: seal, trustDomain: TRUST_DOMAIN, clock: () => now };
    const opened = await openJwtAuthorities(options);
    if (!opened.ok) throw new Error(`${opened.code}: ${opened.detail}`);
    return opened.value;
  }
  const kids = (authorities: JwtAuthorities) => authorities.published().map(({ kid }) => kid);

  test('prepares at half-life, activates at a sixth, drops what has ended: published before it signs', async () => {
    const authorities = await start();
    const first = authorities.active().kid;
    now = new Date(now.getTime() + 12.1 * HOUR);
    expect(await authorities.advance()).toBe(true);
    expect(authorities.active().kid).toBe(first);
    const [, second = ''] = kids(authorities);
    expect(second).not.toBe('');
    now = new Date(now.getTime() + 8 * HOUR);
    expect(await authorities.advance()).toBe(true);
    expect(authorities.active().kid).toBe(second);
    expect([...authorities.bundle().keys.keys()].sort()).toEqual([first, second].sort());
    now = new Date(now.getTime() + 4 * HOUR);
    await authorities.advance();
    expect(kids(authorities)).not.toContain(first);
  });

  test('a kid and its key are the same after a restart; the sequence of the bundle never falls', async () => {
    const before = await start();
    const sequence = store.bundleSequence();
    store.close();
    store = openedStore();
    const after = await start();
    expect(kids(after)).toEqual(kids(before));
    expect(after.active().publicKey.equals(before.active().publicKey)).toBe(true);
    expect(after.active().notAfter).toEqual(before.active().notAfter);
    expect(store.bundleSequence()).toBe(sequence);
    now = new Date(now.getTime() + 13 * HOUR);
    await after.advance();
    expect(store.bundleSequence()).toBeGreaterThan(sequence);
  });

  test('the key is not in the database as it is, and opens with its own secret alone', async () => {
    const authorities = await start();
    const pkcs8 = authorities.active().key.export({ type: 'pkcs8', format: 'der' });
    // The octets of the private scalar, wherever they might stand.
    const scalar = pkcs8.subarray(36, 68);
    for (const name of ['issuer.db', 'issuer.db-wal']) {
      expect(readFileSync(join(folder, name)).includes(scalar)).toBe(false);
    }
    await expect(start(createSealer(randomBytes(32)))).rejects.toThrow('STATE_UNREADABLE');
    await start();
  });
});
