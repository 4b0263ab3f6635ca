import { describe, expect, test } from 'vitest';
import { IMPORT_TABLE } from './import-table.ts';
import { importsOf, PRODUCT_FOLDERS, resolveImport, type Source, sourcesIn } from './sources.ts';

/** One line per import that the table does not allow, or that hides where it leads. */
function offences(source: Source): string[] {
  const folder = PRODUCT_FOLDERS.find((name) => source.path.startsWith(`${name}/`));
  if (folder === undefined) return [`${source.path}: in no folder of the table`];
  const allowed: readonly string[] = [folder, ...IMPORT_TABLE[folder]];
  return importsOf(source).flatMap(({ specifier, line }) => {
    const at = `${source.path}:${line}`;
    if (specifier === undefined) return [`${at}: imports something computed`];
    const target = resolveImport(source.path, specifier);
    if (target.kind !== 'file') return [];
    const to = target.path.split('/')[0] ?? '';
    if (!allowed.includes(to)) return [`${at}: ${folder}/ may not import ${to}/`];
    const own = to === folder;
    if (specifier.startsWith('.') && !own) return [`${at}: ${specifier} leaves the folder; use #`];
    return [];
  });
}

test('each folder imports only what the import table allows', () => {
  expect(sourcesIn(PRODUCT_FOLDERS).flatMap(offences)).toEqual([]);
});

describe('the rule sees', () => {
  const bad: [string, string][] = [
    ['an import', "import { x } from '#bus/door.ts';"],
    ['a type import', "import type { X } from '#bus/door.ts';"],
    ['a re-export', "export { x } from '#bus/door.ts';"],
    ['a re-export of all', "export * from '#bus/door.ts';"],
    ['a dynamic import', "const x = await import('#bus/door.ts');"],
    ['a type by import()', "export type X = import('#bus/door.ts').X;"],
    ['a path around the alias', "import { x } from '../bus/door.ts';"],
    ['a computed import', "const x = await import('#b' + 'us/door.ts');"],
    ['a scenario', "import { x } from '#scenarios/replay.ts';"],
  ];
  test.each(bad)('%s', (_name, text) => {
    expect(offences({ path: 'custody/x.ts', text })).toHaveLength(1);
  });

  test('and lets pass what is allowed', () => {
    const text = `import type { X } from '#identity/svid.ts';
      import { y } from './y.ts';
      import { z } from 'node:crypto';`;
    expect(offences({ path: 'custody/x.ts', text })).toEqual([]);
  });
});

test('product code imports no test', () => {
  const found = sourcesIn(PRODUCT_FOLDERS).filter((source) =>
    importsOf(source).some(({ specifier }) => specifier?.startsWith('#test/')),
  );
  expect(found.map(({ path }) => path)).toEqual([]);
});
