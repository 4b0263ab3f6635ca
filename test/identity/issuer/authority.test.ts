import { spawnSync } from 'node:child_process';
import { randomBytes, X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openAuthorities } from '#identity/issuer/authorities.ts';
import { createAuthority } from '#identity/issuer/authority.ts';
import { createSealer, loadSecret } from '#identity/issuer/sealing.ts';
import { openStore, type Store } from '#identity/issuer/store.ts';
import { TRUST_DOMAIN } from './harness.ts';

const HOUR = 3_600_000;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'authority-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function open(): Store {
  const store = openStore(folder);
  if (!store.ok) throw new Error(store.detail);
  return store.value;
}

describe('signing authority', () => {
  test('is a CA for the trust domain and nothing else (X-03, X-04, I-08)', async () => {
    const authority = await createAuthority(TRUST_DOMAIN, new Date(), randomBytes(16));
    const pem = new X509Certificate(authority.certificate).toString();
    writeFileSync(join(folder, 'ca.pem'), pem);
    const shown = spawnSync('openssl', ['x509', '-in', 'ca.pem', '-noout', '-text'], {
      cwd: folder,
      encoding: 'utf8',
    }).stdout;
    expect(shown).toMatch(/Basic Constraints: critical\s+CA:TRUE/);
    expect(shown).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign\n/);
    expect(shown).toMatch(/Subject Alternative Name: \n?\s*URI:spiffe:\/\/city\.example\n/);
    expect(shown).toContain('NIST CURVE: P-256');
    const strict = ['verify', '-x509_strict', '-CAfile', 'ca.pem', 'ca.pem'];
    expect(spawnSync('openssl', strict, { cwd: folder }).status).toBe(0);
    expect(authority.notAfter.getTime() - authority.notBefore.getTime()).toBeLessThan(25 * HOUR);
  });
});

describe('journal of authorities', () => {
  let now = new Date('2026-06-01T00:00:00Z');
  const sealer = createSealer(randomBytes(32));
  const start = async (store: Store, seal = sealer) =>
    openAuthorities({
      store,
      sealer: seal,
      trustDomain: TRUST_DOMAIN,
      clock: () => now,
      random: (size) => randomBytes(size),
    });
  const states = (store: Store) =>
    store
      .authorities()
      .map((row) => row.state)
      .sort();

  test('prepares at half-life, activates at a sixth, prunes what has expired', async () => {
    const store = open();
    const opened = await start(store);
    if (!opened.ok) throw new Error(opened.detail);
    const authorities = opened.value;
    const first = authorities.active();
    expect(states(store)).toEqual(['active']);
    expect(await authorities.advance()).toBe(false);

    now = new Date(now.getTime() + 13 * HOUR);
    expect(await authorities.advance()).toBe(true);
    expect(states(store)).toEqual(['active', 'prepared']);
    expect(authorities.active()).toBe(first);
    // Published before it signs, so that verifiers have it in time.
    expect(authorities.bundle()).toHaveLength(2);

    now = new Date(now.getTime() + 8 * HOUR);
    await authorities.advance();
    expect(states(store)).toEqual(['active', 'old']);
    expect(authorities.active().id).not.toBe(first.id);
    expect(authorities.bundle()).toContainEqual(first.certificate);

    now = new Date(now.getTime() + 4 * HOUR);
    await authorities.advance();
    expect(authorities.bundle()).not.toContainEqual(first.certificate);
    store.close();
  });

  test('a second start finds its authority; another key file opens nothing', async () => {
    const one = open();
    const first = await start(one);
    one.close();
    const two = open();
    const second = await start(two);
    if (!first.ok || !second.ok) throw new Error('refused');
    expect(second.value.active().id).toBe(first.value.active().id);
    expect(await start(two, createSealer(randomBytes(32)))).toMatchObject({
      code: 'STATE_UNREADABLE',
    });
    two.close();
  });

  test('the private key is nowhere in the state folder in the clear', async () => {
    const store = open();
    const opened = await start(store);
    if (!opened.ok) throw new Error(opened.detail);
    const jwk = opened.value.active().key.export({ format: 'jwk' });
    const secret = Buffer.from(String(jwk.d), 'base64url');
    store.close();
    const database = readFileSync(join(folder, 'issuer.db'));
    expect(database.includes(secret)).toBe(false);
    expect(database.includes(Buffer.from(opened.value.active().certificate))).toBe(true);
  });
});

describe('sealing', () => {
  test('opens with the same secret and label only', () => {
    const sealer = createSealer(randomBytes(32));
    const sealed = sealer.seal(Buffer.from('key'), 'a');
    expect(Buffer.from(sealer.open(sealed, 'a') ?? []).toString()).toBe('key');
    expect(sealer.open(sealed, 'b')).toBeUndefined();
    expect(createSealer(randomBytes(32)).open(sealed, 'a')).toBeUndefined();
    expect(sealer.open(sealed.subarray(1), 'a')).toBeUndefined();
    expect(sealer.open(new Uint8Array(3), 'a')).toBeUndefined();
  });

  test('the secret is 0600, kept, and refused when others may read it', () => {
    const path = join(folder, 'issuer.key');
    const made = loadSecret(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(loadSecret(path)).toEqual(made);
    chmodSync(path, 0o640);
    expect(loadSecret(path)).toMatchObject({ code: 'STATE_UNREADABLE' });
    chmodSync(path, 0o600);
    writeFileSync(path, 'short');
    expect(loadSecret(path)).toMatchObject({ code: 'STATE_UNREADABLE' });
  });
});
