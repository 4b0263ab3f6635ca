import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createBrokerUpkeep } from '#cli/wiring/broker-upkeep.ts';
import { accept, refuse } from '#identity/outcome.ts';
import type { IssuerLink } from '#runtime/launcher/issuer-link.ts';
import type { RunFolder } from '#runtime/run-folder.ts';
import { createTestCa, type TestCa } from '../support/test-ca.ts';

const FILES = ['ca.pem', 'server-key.pem', 'server.pem'];
const HOUR_MS = 3_600_000;

let folder: string;
let ca: TestCa;
let issuerIsThere: boolean;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'swarmproof-test-upkeep-'));
  ca = await createTestCa('city.example');
  issuerIsThere = true;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const content = (): string[] => FILES.map((name) => readFileSync(join(folder, name), 'utf8'));

function upkeep() {
  const gone = refuse('LINK_CLOSED', 'the issuer is gone');
  const issuer: Pick<IssuerLink, 'mint' | 'bundle'> = {
    mint: async ({ spiffeId }) => {
      if (!issuerIsThere) return gone;
      const svid = await ca.issue(spiffeId);
      return accept({ chain: [...svid.certificates], notAfter: svid.notAfter });
    },
    bundle: async () => {
      const authorities = ca.bundle.authorities.map(({ raw }) => new Uint8Array(raw));
      return issuerIsThere ? accept({ trustDomain: ca.trustDomain, authorities }) : gone;
    },
  };
  return createBrokerUpkeep({
    issuer: issuer as IssuerLink,
    run: { nats: folder } as RunFolder,
    trustDomain: 'city.example',
  });
}

describe("the broker's certificate and roots", () => {
  test('are written for the broker alone, and stay while nothing is due', async () => {
    const files = upkeep();
    expect(await files.provide()).toMatchObject({ ok: true });
    expect(readdirSync(folder).sort()).toEqual(FILES);
    for (const name of FILES) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    const before = content();
    expect(await files.renew(new Date())).toBe(false);
    expect(content()).toEqual(before);
  });

  test('change when half of the life is over, and when the roots do', async () => {
    const files = upkeep();
    await files.provide();
    const [roots, , certificate] = content();
    expect(await files.renew(new Date(Date.now() + HOUR_MS))).toBe(true);
    const [sameRoots, , renewed] = content();
    expect([sameRoots, renewed === certificate]).toEqual([roots, false]);
    ca = await createTestCa('city.example');
    expect(await files.renew(new Date())).toBe(true);
    expect(content()[0]).not.toBe(roots);
    expect(await files.renew(new Date())).toBe(false);
  });

  test('stay as they are while no issuer answers or the folder takes nothing', async () => {
    const files = upkeep();
    await files.provide();
    const before = content();
    issuerIsThere = false;
    expect(await files.renew(new Date(Date.now() + HOUR_MS))).toBe(false);
    expect(content()).toEqual(before);
    issuerIsThere = true;
    rmSync(folder, { recursive: true });
    expect(await files.renew(new Date(Date.now() + HOUR_MS))).toBe(false);
  });
});
