import { describe, expect, test } from 'vitest';
import {
  importsOf,
  isNode,
  PRODUCT_FOLDERS,
  resolveImport,
  type Source,
  type SyntaxNode,
  sourcesIn,
  treeOf,
} from './sources.ts';

/** The trust boundary: bytes in, a `Verified` or a refusal out. */
const DOOR = 'bus/door.ts';
/**
 * Wirings in which a control is off: they believe instead of verifying, which is what they are there
 * to show. No module of the product imports them; only the bundler puts them in a place.
 */
const WITHOUT_PROOF: Readonly<Record<string, string>> = {
  'cli/wiring/off/door.ts': 'message signature is off: the sender is whoever the subject names',
  'cli/wiring/shared-keys/believe.ts': 'there is no identity: the sender is who the message says',
};
/** Members that say who signed what. A literal with two of them poses as a verified message. */
const TELLING = ['signedBy', 'sender', 'recordId', 'claims', 'payload', 'gap'];

function keysOf(node: SyntaxNode): string[] {
  const properties = Array.isArray(node.properties) ? node.properties : [];
  return properties.flatMap((property) => {
    const key = isNode(property) && isNode(property.key) ? property.key : undefined;
    const name = key?.name ?? key?.value;
    return typeof name === 'string' ? [name] : [];
  });
}

/** Names that stand for a verified message in this file: by their type, or by what they are called. */
function carriersIn(source: Source, tree: readonly SyntaxNode[]): Set<string> {
  const names = tree.flatMap((node) => {
    if (node.type !== 'Identifier' || typeof node.name !== 'string') return [];
    const type = isNode(node.typeAnnotation) ? textOf(source, node.typeAnnotation) : '';
    const told =
      /^(?:verified|verdict)/i.test(node.name) || /\bVerified\b|\bDoorVerdict\b/.test(type);
    return told ? [node.name] : [];
  });
  return new Set(names);
}

function textOf(source: Source, node: SyntaxNode): string {
  return source.text.slice(Number(node.start), Number(node.end));
}

function spreads(node: SyntaxNode, carriers: ReadonlySet<string>): boolean {
  const properties = Array.isArray(node.properties) ? node.properties : [];
  return properties.some(
    (property) =>
      isNode(property) &&
      property.type === 'SpreadElement' &&
      isNode(property.argument) &&
      carriers.has(String(property.argument.name)),
  );
}

/** Ways to make, alter or pretend a `Verified` outside the door. */
function offences(source: Source): string[] {
  const tree = treeOf(source);
  const carriers = carriersIn(source, tree);
  return tree.flatMap((node) => {
    if (node.type === 'ObjectExpression') {
      const keys = keysOf(node);
      const telling = keys.filter((key) => TELLING.includes(key)).length;
      if (keys.includes('signedBy') && keys.includes('payload')) return ['makes one'];
      if (keys.includes('signedBy') && keys.includes('ok') && telling > 2) return ['makes one'];
      if (spreads(node, carriers)) return ['alters one by spreading'];
    }
    if (['TSAsExpression', 'TSTypeAssertion', 'TSSatisfiesExpression'].includes(node.type)) {
      const type = textOf(source, node);
      if (/(?:\bas\b|<|\bsatisfies\b)[^;]*\bVerified\s*</.test(type)) return ['asserts one'];
    }
    if (node.type === 'CallExpression' && isNode(node.callee) && Array.isArray(node.arguments)) {
      const copies = ['Object.assign', 'structuredClone'].includes(textOf(source, node.callee));
      const one = node.arguments.some((given) => isNode(given) && carriers.has(String(given.name)));
      if (copies && one) return ['copies one'];
    }
    return [];
  });
}

test('only the door makes a Verified, and wirings that show what is without it', () => {
  const found = sourcesIn(PRODUCT_FOLDERS, ['.ts'])
    .filter(({ path }) => path !== DOOR && !Object.hasOwn(WITHOUT_PROOF, path))
    .flatMap((source) => offences(source).map((what) => `${source.path}: ${what}`));
  expect(found).toEqual([]);
});

test('what believes without proof is still there, and nothing outside its wiring imports it', () => {
  const sources = sourcesIn(PRODUCT_FOLDERS, ['.ts']);
  for (const path of Object.keys(WITHOUT_PROOF)) {
    expect(sources.filter((source) => source.path === path).flatMap(offences)).not.toEqual([]);
  }
  const importers = sources.flatMap((source) =>
    importsOf(source).flatMap(({ specifier }) => {
      const target = specifier === undefined ? undefined : resolveImport(source.path, specifier);
      return target?.kind === 'file' && Object.hasOwn(WITHOUT_PROOF, target.path)
        ? [source.path]
        : [];
    }),
  );
  const outside = importers.filter((path) => !path.startsWith('cli/wiring/shared-keys/'));
  expect(outside).toEqual([]);
});

test('the door is caught by the rule, so the rule can see', () => {
  const door = sourcesIn(['bus'], ['.ts']).filter(({ path }) => path === DOOR);
  expect(door.flatMap(offences)).toContain('makes one');
});

describe('the rule sees', () => {
  test.each([
    ['a literal', 'const v = { ok: true, signedBy: a, sender: b, payload: c, claims: d };'],
    ['a cast', 'const v = JSON.parse(text) as Verified<Uint8Array>;'],
    ['a changed payload', 'const f = (v: Verified<A>) => ({ ...v, payload: p });'],
    ['a copy', 'const f = (v: Verified<A>) => Object.assign({}, v, w);'],
  ])('%s', (_name, text) => {
    expect(offences({ path: 'bus/x.ts', text })).toHaveLength(1);
  });

  test('and lets a reader pass', () => {
    const text = `import type { Verified } from 'x';
      export const f = (v: Verified<string>) => ({ id: v.signedBy, payload: v.payload });`;
    expect(offences({ path: 'services/x.ts', text })).toEqual([]);
  });
});
