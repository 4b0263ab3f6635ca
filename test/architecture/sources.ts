import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, extname, join, relative } from 'node:path';
import { parseSync } from 'oxc-parser';

export const ROOT = new URL('../..', import.meta.url).pathname.replace(/\/$/, '');

/** Folders with code that a swarm runs; `test/` and `swarms/` are not among them. */
export const PRODUCT_FOLDERS = [
  'identity',
  'custody',
  'policy',
  'bus',
  'services',
  'agents',
  'runtime',
  'scenarios',
  'observability',
  'cli',
] as const;
export type ProductFolder = (typeof PRODUCT_FOLDERS)[number];

/** A node of the syntax tree, as far as the rules look at it. */
export type SyntaxNode = { readonly type: string } & Readonly<Record<string, unknown>>;

export interface Source {
  /** Path below the root, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** Paths below `folder` with one of the extensions, sorted; generated code is left out. */
export function filesIn(folder: string, extensions: readonly string[]): string[] {
  const start = join(ROOT, folder);
  if (!existsSync(start)) return [];
  return readdirSync(start, { recursive: true })
    .map((name) => relative(ROOT, join(start, String(name))))
    .filter((path) => extensions.includes(extname(path)) && statSync(join(ROOT, path)).isFile())
    .filter((path) => !path.split('/').includes('generated'))
    .sort();
}

export function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

export function sourcesIn(folders: readonly string[], extensions = ['.ts', '.mjs']): Source[] {
  return folders.flatMap((folder) =>
    filesIn(folder, extensions).map((path) => ({ path, text: read(path) })),
  );
}

/** Every node of the tree, parents first. */
export function* walk(root: unknown): Generator<SyntaxNode> {
  if (Array.isArray(root)) {
    for (const item of root) yield* walk(item);
  } else if (isNode(root)) {
    yield root;
    for (const value of Object.values(root)) {
      if (typeof value === 'object' && value !== null) yield* walk(value);
    }
  }
}

export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && 'type' in value;
}

/** Several rules of one test file look at the same sources. */
const trees = new Map<string, SyntaxNode[]>();

/** The tree of a file. @throws Error when it does not parse: then no rule can speak about it. */
export function treeOf({ path, text }: Source): SyntaxNode[] {
  const known = trees.get(`${path} ${text}`);
  if (known !== undefined) return known;
  const parsed = parseSync(path, text);
  const problem = parsed.errors.find(({ severity }) => severity === 'Error');
  if (problem !== undefined) throw new Error(`${path}: ${problem.message}`);
  const tree = [...walk(parsed.program)];
  trees.set(`${path} ${text}`, tree);
  return tree;
}

export interface Imported {
  /** As written; `undefined` for a dynamic import of something computed. */
  readonly specifier: string | undefined;
  readonly line: number;
}

const IMPORTING = new Set([
  'ImportDeclaration',
  'ExportNamedDeclaration',
  'ExportAllDeclaration',
  'ImportExpression',
  'TSImportType',
]);

/** Every import: `import`, `import type`, re-exports, `import()` and `import('…')` in a type. */
export function importsOf(source: Source): Imported[] {
  return treeOf(source).flatMap((node) => {
    if (!IMPORTING.has(node.type)) return [];
    const from = node.type === 'TSImportType' ? (node.source ?? node.argument) : node.source;
    if (from === null || from === undefined) return [];
    const literal = isNode(from) && isNode(from.literal) ? from.literal : from;
    const value = isNode(literal) ? literal.value : undefined;
    const start = typeof node.start === 'number' ? node.start : 0;
    const line = source.text.slice(0, start).split('\n').length;
    return [{ specifier: typeof value === 'string' ? value : undefined, line }];
  });
}

/** Where an import leads: a path below the root, a Node module or an npm package. */
export type Target =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'node' }
  | { readonly kind: 'package'; readonly name: string };

export function resolveImport(from: string, specifier: string): Target {
  if (specifier.startsWith('node:')) return { kind: 'node' };
  if (specifier.startsWith('#')) return { kind: 'file', path: specifier.slice(1) };
  if (specifier.startsWith('.')) return { kind: 'file', path: join(dirname(from), specifier) };
  const parts = specifier.split('/');
  const name = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
  return { kind: 'package', name };
}
