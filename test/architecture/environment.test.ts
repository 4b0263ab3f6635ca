import { expect, test } from 'vitest';
import { isNode, PRODUCT_FOLDERS, type Source, sourcesIn, treeOf } from './sources.ts';

/** Outside `cli/`, only the script that runs before anything is installed. */
const MAY_READ = ['runtime/tools/prepare.mjs'];

function named(value: unknown, name: string): boolean {
  return isNode(value) && (value.name === name || value.value === name);
}

/** Does it read the process environment: `process.env`, destructured, or imported? */
function readsEnvironment(source: Source): boolean {
  return treeOf(source).some((node) => {
    if (node.type === 'MemberExpression') {
      return named(node.object, 'process') && named(node.property, 'env');
    }
    if (node.type === 'VariableDeclarator' && named(node.init, 'process')) {
      return isNode(node.id) && node.id.type === 'ObjectPattern';
    }
    if (node.type !== 'ImportDeclaration') return false;
    const from = isNode(node.source) ? node.source.value : undefined;
    return from === 'node:process' || from === 'process';
  });
}

test('the environment is read in cli/ and by prepare.mjs, nowhere else', () => {
  const readers = sourcesIn(PRODUCT_FOLDERS)
    .filter(({ path }) => !path.startsWith('cli/') && !MAY_READ.includes(path))
    .filter(readsEnvironment);
  expect(readers.map(({ path }) => path)).toEqual([]);
});

test.each([
  'const a = process.env.A;',
  "const a = process['env'];",
  'const { env } = process;',
  "import { env } from 'node:process';",
])('the rule sees: %s', (text) => {
  expect(readsEnvironment({ path: 'bus/x.ts', text })).toBe(true);
});
