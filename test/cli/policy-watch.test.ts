import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CHECKOUT } from '#cli/wiring/checkout.ts';
import { livePolicy } from '#cli/wiring/policy.ts';
import { watchPolicy } from '#cli/wiring/policy-watch.ts';
import { loadBundle, type PolicyBundle } from '#policy/bundle.ts';
import { sha256Hex } from '#policy/compile.ts';
import type { StartMessage } from '#runtime/process-protocol.ts';
import { allowedCases, swarmData } from '../policy/cases.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'swarmproof-test-watch-'));
  cpSync(join(CHECKOUT, 'policy'), folder, { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The same rules in other bytes, as a compiler would replace them: bundle first, then its name. */
function replaceBundle(bytes: Buffer, named: string = sha256Hex(bytes)): void {
  writeFileSync(join(folder, 'bundle.tar.gz'), bytes);
  const manifest = JSON.parse(readFileSync(join(folder, 'bundle.json'), 'utf8')) as object;
  writeFileSync(join(folder, 'bundle.json'), JSON.stringify({ ...manifest, bundle: named }));
}

function watched() {
  const changed = Promise.withResolvers<PolicyBundle>();
  const failed = Promise.withResolvers<string>();
  const on = { changed: changed.resolve, failed: failed.resolve };
  const stop = watchPolicy(folder, loadBundle(folder, undefined), on);
  return { changed: changed.promise, failed: failed.promise, stop };
}

test('new rules are taken while a swarm runs', async () => {
  const { changed, stop } = watched();
  const other = gzipSync(gunzipSync(readFileSync(join(folder, 'bundle.tar.gz'))), { level: 1 });
  replaceBundle(other);
  const bundle = await changed;
  stop();
  expect(bundle.manifest.bundle).toBe(sha256Hex(other));

  const old = { bundle: loadBundle(join(CHECKOUT, 'policy'), undefined).bytes, data: swarmData };
  const start = { policy: { ...old, bundle: Buffer.from(old.bundle).toString('base64') } };
  const policy = await livePolicy(start as unknown as StartMessage);
  const before = policy.revision;
  await policy.replace({ bundle: other.toString('base64'), data: swarmData });
  expect(policy.revision).not.toBe(before);
  for (const { input } of allowedCases) expect(policy.decide(input).allow).toBe(true);
});

test('what is not the bundle that it says changes nothing, and says so', async () => {
  const { failed, stop } = watched();
  replaceBundle(Buffer.from('no bundle'), 'f'.repeat(64));
  expect(await failed).toContain('is not the bundle');
  stop();

  const bytes = loadBundle(join(CHECKOUT, 'policy'), undefined).bytes;
  const start = { policy: { bundle: Buffer.from(bytes).toString('base64'), data: swarmData } };
  const policy = await livePolicy(start as unknown as StartMessage);
  const before = policy.revision;
  await expect(policy.replace({ bundle: 'bm90IGEgYnVuZGxl', data: {} })).rejects.toThrow();
  expect(policy.revision).toBe(before);
  for (const { input } of allowedCases) expect(policy.decide(input).allow).toBe(true);
});
