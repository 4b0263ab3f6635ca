import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseSpiffeId } from '#identity/spiffe-id.ts';
import { filesIn, PRODUCT_FOLDERS, ROOT } from './sources.ts';

export interface Row {
  readonly code: string;
  /** The three kinds of refusal; empty where a table does not tell them apart. */
  readonly kind: string;
  readonly meaning: string;
}

export interface Table {
  /** Path of the `codes.ts` that owns the codes. */
  readonly file: string;
  readonly rows: readonly Row[];
}

/** One example per code that `identity/spiffe-id.ts` explains in its own words. */
const NOT_IDS = [
  'https://city.example/a',
  `spiffe://${'a'.repeat(2048)}`,
  'spiffe://CITY',
  'spiffe://td//',
];

function rowOf(key: string, value: unknown): Row {
  if (typeof value === 'object' && value !== null && 'meaning' in value && 'kind' in value) {
    return { code: key, kind: String(value.kind), meaning: String(value.meaning) };
  }
  const text = String(value);
  // The policy's table leads from the check in Rego to the code.
  if (/^[A-Z_]+$/.test(text))
    return { code: text, kind: 'not-allowed', meaning: `check \`${key}\`` };
  return { code: key, kind: '', meaning: text };
}

/** Every table of codes: all `*_CODES` that a `codes.ts` exports. A code belongs to its first table. */
export async function refusalTables(): Promise<Table[]> {
  const seen = new Set<string>();
  const tables: Table[] = [];
  for (const file of PRODUCT_FOLDERS.flatMap((folder) => filesIn(folder, ['.ts']))) {
    if (!file.endsWith('/codes.ts')) continue;
    const exported: Record<string, unknown> = await import(
      /* @vite-ignore */ pathToFileURL(join(ROOT, file)).href
    );
    const rows = Object.entries(exported)
      .filter(([name, value]) => name.endsWith('_CODES') && typeof value === 'object')
      .flatMap(([, value]) => Object.entries(value ?? {}).map(([key, entry]) => rowOf(key, entry)))
      .filter(({ code }) => !seen.has(code) && seen.add(code));
    tables.push({ file, rows });
  }
  const ids = NOT_IDS.map((text) => parseSpiffeId(text)).flatMap((parsed) =>
    parsed.ok ? [] : [{ code: parsed.code, kind: 'not-authentic', meaning: parsed.detail }],
  );
  return [{ file: 'identity/spiffe-id.ts', rows: ids }, ...tables];
}

const cell = (text: string): string => text.replaceAll('|', '\\|');

/** A Markdown table as the formatter lays it out: each column as wide as its widest cell. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, column) => text.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)];
}

/** docs/refusals.md as the tables give it. */
export async function refusalsPage(): Promise<string> {
  const parts = (await refusalTables()).map(({ file, rows }) => {
    const cells = rows.map(({ code, kind, meaning }) => [`\`${code}\``, kind, cell(meaning)]);
    return [`## ${file}`, '', ...table(['code', 'kind', 'meaning'], cells), ''].join('\n');
  });
  return `# Refusals

A refusal is a value with a code, never an exception. Codes are stable: programs may compare them,
and a change of one is a breaking change. Kinds, where a table tells them apart:

- **not-authentic**: it does not prove what it says. Trying again does not help.
- **not-allowed**: it is genuine, and may not be done.
- **unavailable**: it cannot be judged now. The same thing may pass later.

This page is made from the tables in the sources (\`npx vitest run test/architecture -u\`), and a test
compares the two.

${parts.join('\n')}`;
}
