import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { CONTROLS, type Control } from '#cli/wiring/controls.ts';
import { IMAGES, imagesOf } from '#cli/wiring/images.ts';
import { SHARED_KEYS, variantOff } from '#cli/wiring/variants.ts';

/**
 * What two wirings differ in, read from what their images were bundled of. A comparison of wirings
 * compares controls only if roles and services are the same files in each.
 */

const PLATFORM = ['issuer', 'gate', 'ledger'];
const NAMES = Object.keys(IMAGES);
const MEMBERS = NAMES.filter((name) => !PLATFORM.includes(name));
const BUILD_MS = 120_000;

/** The bundler's record of the files in an image. */
function modulesIn(folder: string): string[] {
  const { modules } = JSON.parse(readFileSync(join(folder, 'build.json'), 'utf8'));
  return modules as string[];
}

const within =
  (...folders: string[]) =>
  (path: string) =>
    folders.some((folder) => path.startsWith(`${folder}/`));
const without = (all: readonly string[], those: readonly string[]) =>
  all.filter((path) => !those.includes(path));
const union = (names: readonly string[], folders: (name: string) => string) =>
  [...new Set(names.flatMap((name) => modulesIn(folders(name))))].sort();

let plain: (name: string) => string;
beforeAll(async () => {
  plain = await imagesOf(variantOff([]), () => {});
}, BUILD_MS);

describe('shared keys and this swarm', () => {
  let shared: (name: string) => string;
  beforeAll(async () => {
    shared = await imagesOf(SHARED_KEYS, () => {}, MEMBERS);
  }, BUILD_MS);

  test.each(MEMBERS)('%s is made of the same files of agents and services', (name) => {
    const own = within('agents', 'services', 'cli/processes');
    expect(modulesIn(shared(name)).filter(own)).toEqual(modulesIn(plain(name)).filter(own));
  });

  test('shared keys adds these files', () => {
    expect(without(union(MEMBERS, shared), union(MEMBERS, plain))).toEqual([
      'cli/wiring/off/service-policy.ts',
      'cli/wiring/shared-keys/believe.ts',
      'cli/wiring/shared-keys/codec.ts',
      'cli/wiring/shared-keys/connect.ts',
      'cli/wiring/shared-keys/membership.ts',
      'cli/wiring/shared-keys/messages.ts',
      'cli/wiring/shared-keys/requests.ts',
    ]);
  });

  test('shared keys leaves out how the swarm is joined, and with it identity, custody, bus and policy', () => {
    const gone = without(union(MEMBERS, plain), union(MEMBERS, shared));
    const layers = within('identity', 'custody', 'bus', 'policy');
    expect(gone.filter((path) => !layers(path))).toEqual([
      'cli/wiring/bus.ts',
      'cli/wiring/door.ts',
      'cli/wiring/ledger-queries.ts',
      'cli/wiring/logged-source.ts',
      'cli/wiring/membership.ts',
      'cli/wiring/own-identity.ts',
      'cli/wiring/policy.ts',
      'cli/wiring/service-policy.ts',
      'cli/wiring/standing.ts',
    ]);
    for (const path of [
      'bus/door.ts',
      'custody/record/sign.ts',
      'identity/x509/verify.ts',
      'identity/workload-api/client.ts',
      'policy/engine.ts',
    ]) {
      expect(gone).toContain(path);
    }
  });
});

describe('a control that is off', () => {
  test.each(Object.keys(CONTROLS) as Control[])(
    '%s is one module for another',
    async (control) => {
      const { module, by } = CONTROLS[control];
      const off = await imagesOf(variantOff([control]), () => {});
      expect(without(union(NAMES, off), union(NAMES, plain))).toEqual([by]);
      expect(without(union(NAMES, plain), union(NAMES, off))).toEqual([module]);
      for (const name of NAMES) {
        const touched = modulesIn(plain(name)).includes(module);
        expect([name, off(name) === plain(name)]).toEqual([name, !touched]);
        expect([name, modulesIn(off(name)).includes(by)]).toEqual([name, touched]);
      }
    },
    BUILD_MS,
  );

  test(
    'a module that no image has is an error that names it, not a control believed to be off',
    async () => {
      const { folder } = variantOff(['P']);
      const exchanges = [{ id: 'P', module: 'cli/wiring/gone.ts', by: 'cli/wiring/off/door.ts' }];
      await expect(imagesOf({ folder, exchanges }, () => {})).rejects.toThrow(
        /cli\/wiring\/gone\.ts/,
      );
    },
    BUILD_MS,
  );
});
