import { expect, test } from 'vitest';
import { refusalsPage, refusalTables } from './refusals.ts';
import { isNode, PRODUCT_FOLDERS, sourcesIn, treeOf } from './sources.ts';

test('docs/refusals.md shows exactly the codes that exist', async () => {
  await expect(await refusalsPage()).toMatchFileSnapshot('../../docs/refusals.md');
});

test('a code has one meaning and one owner', async () => {
  const tables = await refusalTables();
  for (const { rows } of tables) {
    for (const { code, meaning } of rows) {
      expect(code).toMatch(/^[A-Z][A-Z0-9_]+$/);
      expect(meaning.length, code).toBeGreaterThan(10);
    }
  }
});

test('code refuses only with codes that are in a table', async () => {
  const known = new Set(
    (await refusalTables()).flatMap(({ rows }) => rows.map(({ code }) => code)),
  );
  const unknown = sourcesIn(PRODUCT_FOLDERS, ['.ts']).flatMap((source) =>
    treeOf(source).flatMap((node) => {
      if (node.type !== 'CallExpression' || !isNode(node.callee)) return [];
      if (node.callee.name !== 'refuse') return [];
      const first: unknown = Array.isArray(node.arguments) ? node.arguments[0] : undefined;
      const code = isNode(first) && first.type === 'Literal' ? String(first.value) : undefined;
      return code === undefined || known.has(code) ? [] : [`${source.path}: ${code}`];
    }),
  );
  expect(unknown).toEqual([]);
});

test('every code can be given: no table keeps one that nothing refuses with', async () => {
  const used = new Set<string>();
  for (const source of sourcesIn(PRODUCT_FOLDERS, ['.ts'])) {
    if (source.path.endsWith('/codes.ts') && !source.path.startsWith('policy/')) continue;
    for (const node of treeOf(source)) {
      if (node.type === 'Literal') used.add(String(node.value));
      if (node.type === 'Identifier') used.add(String(node.name));
    }
  }
  const dead = (await refusalTables()).flatMap(({ file, rows }) =>
    rows.filter(({ code }) => !used.has(code)).map(({ code }) => `${file}: ${code}`),
  );
  expect(dead).toEqual([]);
});
