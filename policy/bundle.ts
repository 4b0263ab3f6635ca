import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BundleManifest, compilePolicy, sha256Hex, sourceDigests } from './compile.ts';

export interface PolicyBundle {
  readonly bytes: Uint8Array;
  readonly manifest: BundleManifest;
}

/**
 * The bundle in `folder`, or a fresh one where its sources have changed and `opa` is at hand. Old
 * rules are never used in silence.
 * @throws Error naming the changed files when the bundle is stale and there is no opa.
 */
export function loadBundle(folder: string, opa: string | undefined): PolicyBundle {
  let manifest = readManifest(folder);
  const changed = staleSources(folder, manifest);
  if (changed.length > 0) {
    if (opa === undefined) {
      throw new Error(
        `policy bundle is older than ${changed.join(', ')}: install opa 1.19 or set SWARMPROOF_OPA, then run 'npm run policy:build'`,
      );
    }
    manifest = compilePolicy(folder, opa);
  }
  const bytes = readFileSync(join(folder, 'bundle.tar.gz'));
  if (manifest === undefined || sha256Hex(bytes) !== manifest.bundle) {
    throw new Error(
      "policy/bundle.tar.gz is not the bundle that policy/bundle.json names: run 'npm run policy:build'",
    );
  }
  return { bytes, manifest };
}

/** Source files that differ from those the bundle was made of. */
export function staleSources(folder: string, manifest: BundleManifest | undefined): string[] {
  const now = sourceDigests(folder);
  const then = manifest?.sources ?? {};
  const names = new Set([...Object.keys(now), ...Object.keys(then)]);
  return [...names].filter((name) => now[name] !== then[name]).map((name) => `policy/rego/${name}`);
}

function readManifest(folder: string): BundleManifest | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'bundle.json'), 'utf8')) as BundleManifest;
  } catch {
    return undefined;
  }
}
