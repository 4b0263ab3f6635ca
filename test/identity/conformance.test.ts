import { describe, expect, test } from 'vitest';
import { filesIn, isNode, read, type SyntaxNode, treeOf } from '../architecture/sources.ts';
import { CLAUSES } from './clauses.ts';
import {
  type BundleVector,
  type IdVector,
  type JwtVector,
  readList,
  readVectors,
} from './support/vectors.ts';

const CLAUSE = /\b(?:I|X|XV|J|JV|B|C|E|A|F|W|BE|BA)-\d{2}\b/g;
/** A suite asserts nothing by its own title. */
const TESTING = new Set(['test', 'it']);
const NOT_RUN = new Set(['skip', 'todo']);

/** `test`, `each` of `test.each(…)`; `test`, `skipIf`, `for` of `test.skipIf(…).for(…)`. */
function namesOf(callee: unknown): readonly string[] {
  if (!isNode(callee)) return [];
  if (callee.type === 'Identifier') return [String(callee.name)];
  if (callee.type !== 'MemberExpression') return namesOf(callee.callee);
  const last = isNode(callee.property) ? [String(callee.property.name)] : [];
  return [...namesOf(callee.object), ...last];
}

/** A call that makes a test which is run, somewhere at least. */
function isTest({ type, callee }: SyntaxNode): boolean {
  if (type !== 'CallExpression') return false;
  const [root = '', ...rest] = namesOf(callee);
  return TESTING.has(root) && !rest.some((name) => NOT_RUN.has(name));
}

/** The text of a title; what is computed in it is left out. */
function titleOf(node: SyntaxNode): string {
  const first: unknown = Array.isArray(node.arguments) ? node.arguments[0] : undefined;
  if (!isNode(first)) return '';
  if (first.type === 'Literal') return String(first.value);
  return first.type === 'TemplateLiteral' ? JSON.stringify(first.quasis) : '';
}

/** Clause ids in the titles of all tests below `test/`, with the files that have them. */
function citedInTitles(): Map<string, Set<string>> {
  const cited = new Map<string, Set<string>>();
  for (const path of filesIn('test', ['.ts']).filter((name) => name.endsWith('.test.ts'))) {
    const text = read(path);
    if (text.match(CLAUSE) === null) continue;
    for (const node of treeOf({ path, text })) {
      if (!isTest(node)) continue;
      for (const id of titleOf(node).match(CLAUSE) ?? []) {
        cited.set(id, (cited.get(id) ?? new Set()).add(path));
      }
    }
  }
  return cited;
}

/** Clause ids of vectors: their tests have them in their titles as `$clause`. */
function citedInVectors(): Set<string> {
  const vectors: readonly { clause: string }[] = [
    ...readVectors(),
    ...readList<IdVector>('spiffe-id.json').vectors,
    ...readList<JwtVector>('jwt-svid.json').vectors,
    ...readList<BundleVector>('bundle.json').vectors,
  ];
  return new Set(vectors.flatMap(({ clause }) => clause.match(CLAUSE) ?? []));
}

const inTitles = citedInTitles();
const inVectors = citedInVectors();

describe('the clauses of the SPIFFE standards', () => {
  test('have an id each, and say something', () => {
    const ids = CLAUSES.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { id, says, where } of CLAUSES) {
      expect(id).toMatch(/^[A-Z]{1,2}-\d{2}$/);
      expect(says.length, id).toBeGreaterThan(5);
      expect(where.length, id).toBeGreaterThan(5);
    }
  });

  test('are each cited by a test, or say why not', () => {
    const silent = CLAUSES.filter(
      ({ id, untested }) => untested === undefined && !inTitles.has(id) && !inVectors.has(id),
    );
    expect(silent.map(({ id, says }) => `${id}: ${says}`)).toEqual([]);
  });

  test('are not excused and cited at once', () => {
    const both = CLAUSES.filter(({ id, untested }) => untested !== undefined && inTitles.has(id));
    expect(both.map(({ id }) => id)).toEqual([]);
  });

  test('that tests and vectors cite exist', () => {
    const known = new Set(CLAUSES.map(({ id }) => id));
    const titles = [...inTitles].filter(([id]) => !known.has(id));
    expect(titles.map(([id, files]) => `${id} in ${[...files].join()}`)).toEqual([]);
    expect([...inVectors].filter((id) => !known.has(id))).toEqual([]);
  });

  test('the scan sees the titles of tests of every form, and of nothing else', () => {
    const text = [
      "test('a (I-01)', () => {});",
      "test.each([1])('$name (I-02)', () => {});",
      "describe('b (I-03)', () => {});",
      "test.skipIf(x).for([1])('c (I-04)', () => {});",
      'it(`d (I-05)`, () => {});',
      "other('e (I-06)');",
      "test.skip('f (I-08)', () => {});",
      "it.todo('g (I-09)');",
      '// I-07',
    ].join('\n');
    const titles = treeOf({ path: 'x.test.ts', text })
      .filter(isTest)
      .flatMap((node) => titleOf(node).match(CLAUSE) ?? []);
    expect([...new Set(titles)].sort()).toEqual(['I-01', 'I-02', 'I-04', 'I-05']);
  });
});
