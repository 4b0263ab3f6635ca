import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { IMPORT_TABLE } from './import-table.ts';
import { PRODUCT_FOLDERS, ROOT, read } from './sources.ts';

const DOCUMENTS = [
  'README.md',
  'CONTRIBUTING.md',
  'THREAT-MODEL.md',
  'docs/architecture.md',
  'docs/benchmarks.md',
  'docs/containers.md',
  'docs/identity.md',
  'docs/custody.md',
  'docs/custody-record.md',
  'docs/evidence.md',
  'docs/issuer.md',
  'docs/keys.md',
  'docs/observability.md',
];

/** Paths in backticks that name a file or folder of the checkout; `NAME` stands for a new one. */
function pathsIn(text: string): string[] {
  return [...text.matchAll(/`([\w.@-]+(?:\/[\w.@-]*)+)`/g)]
    .map(([, path]) => path ?? '')
    .filter((path) => !path.includes('NAME') && !path.startsWith('.swarmproof/'))
    .filter((path) => !path.startsWith('RUN/') && !path.startsWith('@'));
}

describe.each(DOCUMENTS)('%s', (document) => {
  test('names only files that exist', () => {
    const tops = readdirSync(ROOT);
    const missing = pathsIn(read(document))
      .filter((path) => tops.includes(path.split('/')[0] ?? '') || path.includes('.'))
      .filter((path) => !existsSync(join(ROOT, path)));
    expect(missing).toEqual([]);
  });

  test('links only to pages that exist', () => {
    const links = [...read(document).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(
      ([, to]) => to ?? '',
    );
    const missing = links.filter((to) => !existsSync(join(ROOT, dirname(document), to)));
    expect(missing).toEqual([]);
  });
});

test('the table of docs/architecture.md is the one that imports are held to', () => {
  const rows = new Map(
    [...read('docs/architecture.md').matchAll(/^\| `(\w+)\/`\s*\|.*\| ([^|]*)\|$/gm)].map(
      ([, folder, may]) => [folder, may?.trim()],
    ),
  );
  for (const folder of PRODUCT_FOLDERS) {
    const may = IMPORT_TABLE[folder];
    const others = PRODUCT_FOLDERS.filter((name) => !may.includes(name) && name !== folder);
    const told = [
      may.length === 0 ? '–' : may.join(', '),
      others.length === 0 ? 'all' : `all but ${others.join(', ')}`,
    ];
    expect(told, folder).toContain(rows.get(folder));
  }
});
