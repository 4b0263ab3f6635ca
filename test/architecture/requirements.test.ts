import { describe, expect, test } from 'vitest';
import { REQUIREMENTS } from '#test/requirements.ts';
import { filesIn, read } from './sources.ts';

const DOCUMENTS = ['README.md', 'THREAT-MODEL.md'];
const ALL_TESTS = filesIn('test', ['.ts'])
  .filter((path) => path.endsWith('.test.ts'))
  .map(read)
  .join('\n');
const ID = /\bS-\d{2}\b/g;

function idsIn(document: string): string[] {
  return [...new Set(read(document).match(ID) ?? [])].sort();
}

test('every security sentence of the documents is a requirement, and the other way round', () => {
  const known = REQUIREMENTS.map(({ id }) => id);
  expect(new Set(known).size).toBe(known.length);
  expect(idsIn('THREAT-MODEL.md')).toEqual([...known].sort());
  for (const document of DOCUMENTS) {
    expect(idsIn(document).filter((id) => !known.includes(id))).toEqual([]);
  }
});

test('each sentence that the README lists as proven ends with its id', () => {
  const section = read('README.md').split('## What is proven, and how')[1]?.split('\n## ')[0] ?? '';
  const items = section.split(/^- /m).slice(1);
  expect(items.length).toBeGreaterThan(0);
  const without = items.filter((item) => !/\(S-\d{2}\)\s*$/.test(item.split('\n\n')[0] ?? ''));
  expect(without).toEqual([]);
});

describe('each requirement', () => {
  test.each(REQUIREMENTS)('$id is shown by tests, or is a known failure', (requirement) => {
    const { tests, knownFailure } = requirement;
    expect(tests.length > 0).toBe(knownFailure === undefined);
    expect(tests.filter((title) => !ALL_TESTS.includes(title))).toEqual([]);
  });
});
