import { expect, test } from 'vitest';
import { SCENARIOS } from '#scenarios/index.ts';
import { TAXONOMY, type TaxonomyEntry } from '#scenarios/taxonomy.ts';

const ENTRIES: Readonly<Record<string, TaxonomyEntry>> = TAXONOMY;

test('every id of a scenario is a pinned one, of the list under which it stands', () => {
  for (const { id, taxonomy } of SCENARIOS) {
    for (const [list, ids] of Object.entries(taxonomy)) {
      for (const one of ids) expect(ENTRIES[one]?.list, `${id}: ${one}`).toBe(list);
    }
  }
});

test('no id is pinned that nothing uses, and none has two names', () => {
  const used = new Set<string>(SCENARIOS.flatMap(({ taxonomy }) => Object.values(taxonomy).flat()));
  expect(Object.keys(TAXONOMY).filter((id) => !used.has(id))).toEqual([]);
  const names = Object.values(TAXONOMY).map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});
