import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filesIn, importsOf, PRODUCT_FOLDERS, ROOT, read, resolveImport } from './sources.ts';

const LONGEST = 300;

test(`no source file has more than ${LONGEST} lines`, () => {
  const long = [...PRODUCT_FOLDERS, 'test', '.ci']
    .flatMap((folder) => filesIn(folder, ['.ts', '.mjs', '.rego']))
    .map((path) => ({ path, lines: read(path).trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > LONGEST);
  expect(long).toEqual([]);
});

test('the README has at most 150 lines', () => {
  expect(read('README.md').trimEnd().split('\n').length).toBeLessThanOrEqual(150);
});

/**
 * Files that one list file must name: what is not in its list does not exist at run time. `mark`
 * tells a member from what members share.
 */
const LISTS = [
  { list: 'agents/roles/index.ts', members: 'agents/roles', mark: /^export const \w+Schema\b/m },
  {
    list: 'agents/sources/index.ts',
    members: 'agents/sources',
    mark: /^export const \w+Schema\b/m,
  },
  { list: 'cli/main.ts', members: 'cli/commands', mark: /^export function \w+Command\b/m },
  {
    list: 'scenarios/index.ts',
    members: 'scenarios',
    mark: /^export const \w+: (?:Agent|Feed)Scenario\b/m,
  },
] as const;

function imported(list: string): string[] {
  return importsOf({ path: list, text: read(list) }).flatMap(({ specifier }) => {
    const target = specifier === undefined ? undefined : resolveImport(list, specifier);
    return target?.kind === 'file' ? [target.path] : [];
  });
}

describe('complete lists', () => {
  test.each(LISTS)('$list names every member in $members', ({ list, members, mark }) => {
    const files = filesIn(members, ['.ts']).filter(
      (path) =>
        path !== list &&
        path.split('/').length === members.split('/').length + 1 &&
        mark.test(read(path)),
    );
    if (files.length === 0) return;
    const named = imported(list);
    expect(files.filter((path) => !named.includes(path))).toEqual([]);
  });

  test('services/index.ts names every service', () => {
    const folders = readdirSync(join(ROOT, 'services'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `services/${name}/`);
    const named = imported('services/index.ts');
    const missing = folders.filter((folder) => !named.some((path) => path.startsWith(folder)));
    expect(missing).toEqual([]);
  });

  test('identity/attestors/index.ts names every attestor', () => {
    const attestors = filesIn('identity/attestors', ['.ts']).filter((path) =>
      /export (?:async )?function \w+(?:Selectors|Attestor)\b/.test(read(path)),
    );
    const named = imported('identity/attestors/index.ts');
    expect(attestors.length).toBeGreaterThan(0);
    expect(attestors.filter((path) => !named.includes(path))).toEqual([]);
  });

  test('every policy file with an entry point has its tests beside it', () => {
    const files = filesIn('policy', ['.rego']);
    const missing = files
      .filter((path) => !path.endsWith('_test.rego'))
      .filter((path) => /^default /m.test(read(path)))
      .filter((path) => !files.includes(path.replace(/\.rego$/, '_test.rego')));
    expect(missing).toEqual([]);
  });
});
