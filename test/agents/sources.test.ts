import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { detectorSchema, judge, startDetector } from '#agents/detector/detector.ts';
import { openSource, sourceSchema, sourceSchemas } from '#agents/sources/index.ts';
import { MAX_LINE_BYTES } from '#agents/sources/lines.ts';
import { incidentRows, simulatedSchema } from '#agents/sources/simulated.ts';
import { parseDate, type SourceItem } from '#agents/sources/source.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sources-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: string | Uint8Array, name = 'input.csv'): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function read(config: unknown): Promise<SourceItem[]> {
  const opened = await openSource(sourceSchema.parse(config));
  if (!opened.ok) throw new Error(opened.detail);
  const items: SourceItem[] = [];
  for await (const item of opened.value.items) items.push(item);
  await opened.value.close();
  return items;
}

const csv = (content: string | Uint8Array) => read({ kind: 'csv', path: file(content) });
const codes = (items: readonly SourceItem[]) =>
  items.map((item) => (item.kind === 'malformed' ? item.code : item.kind));
const HEADER = 'timestamp,value\n';
const GOOD = '2026-01-05 08:00:00,61.5';

describe('opening', () => {
  test.each([
    ['SOURCE_MISSING', () => join(folder, 'absent.csv')],
    ['SOURCE_NOT_A_FILE', () => folder],
    ['SOURCE_EMPTY', () => file('')],
    ['SOURCE_HEADER_INVALID', () => file('time,speed\n1,2\n')],
    ['SOURCE_HEADER_INVALID', () => file('\n\n')],
    ['SOURCE_HEADER_INVALID', () => file(Buffer.alloc(200_000, 0xff))],
    ['SOURCE_MISSING', () => join(file('x'), 'below.csv')],
  ])('%s: one line that names the file', async (code, path) => {
    const at = path();
    const opened = await openSource(sourceSchema.parse({ kind: 'csv', path: at }));
    expect(opened).toMatchObject({ ok: false, code });
    if (opened.ok) return;
    expect(opened.detail).not.toContain('\n');
    expect(opened.detail).toContain(folder);
  });

  test('SOURCE_NOT_A_FILE: a named pipe that nobody writes to holds nothing up', async () => {
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    const opened = await openSource(sourceSchema.parse({ kind: 'csv', path }));
    expect(opened).toMatchObject({ ok: false, code: 'SOURCE_NOT_A_FILE' });
  });

  test('the name stays for the same file and differs for another under the same name', async () => {
    const name = async (content: string) => {
      const opened = await openSource(sourceSchema.parse({ kind: 'csv', path: file(content) }));
      if (!opened.ok) throw new Error(opened.detail);
      await opened.value.close();
      return opened.value.name;
    };
    const first = await name(`${HEADER}${GOOD}\n`);
    expect(first).toMatch(/^input\.csv-[0-9a-f]{8}$/);
    expect(await name(`${HEADER}${GOOD}\n`)).toBe(first);
    expect(await name(`${HEADER}2026-01-05 08:00:00,9\n`)).not.toBe(first);
  });

  test('schemas refuse unknown keys and kinds', () => {
    expect(Object.keys(sourceSchemas)).toEqual(['csv', 'ndjson', 'simulated']);
    expect(sourceSchema.safeParse({ kind: 'csv', path: 'a', colour: 1 }).success).toBe(false);
    expect(sourceSchema.safeParse({ kind: 'pipe' }).success).toBe(false);
    expect(sourceSchema.safeParse({ kind: 'simulated', rows: 100, anomalies: 1 }).success).toBe(
      false,
    );
  });
});

describe('csv', () => {
  test('byte order mark, CRLF, quotes, spaces and a missing last line end change nothing', async () => {
    const items = await csv(
      '\ufeff"Value" , note,Timestamp\r\n61.5,"a ""b"", c",2026-01-05 08:00:00\r\n"62",,2026-01-05T08:05:00Z',
    );
    expect(items).toEqual([
      {
        kind: 'value',
        row: 1,
        at: new Date('2026-01-05T08:00:00Z'),
        value: 61.5,
        late: false,
        text: { note: 'a "b", c' },
      },
      {
        kind: 'value',
        row: 2,
        at: new Date('2026-01-05T08:05:00Z'),
        value: 62,
        late: false,
        text: undefined,
      },
    ]);
  });

  test.each([
    ['2026-01-05 08:00:00,NaN', 'VALUE_INVALID'],
    ['2026-01-05 08:00:00,', 'VALUE_INVALID'],
    ['2026-01-05 08:00:00,1e999', 'VALUE_INVALID'],
    ['2026-01-05 08:00:00,0x10', 'VALUE_INVALID'],
    ['2026-01-05 08:00:00,Infinity', 'VALUE_INVALID'],
    [`2026-01-05 08:00:00,${'9'.repeat(5000)}`, 'VALUE_INVALID'],
    ['2026-02-30 08:00:00,1', 'TIMESTAMP_INVALID'],
    ['2026-01-05 25:00:00,1', 'TIMESTAMP_INVALID'],
    ['yesterday,1', 'TIMESTAMP_INVALID'],
    [',', 'TIMESTAMP_INVALID'],
    ['2026-01-05 08:00:00', 'ROW_FIELDS_MISMATCH'],
    ['2026-01-05 08:00:00,1,2', 'ROW_FIELDS_MISMATCH'],
    ['"2026-01-05 08:00:00,1', 'ROW_UNPARSABLE'],
    ['2026-01-05" 08:00:00,1"', 'ROW_UNPARSABLE'],
    ['x'.repeat(MAX_LINE_BYTES + 1), 'ROW_TOO_LONG'],
  ])(
    'a malformed row is reported with its line, and the rows around it are read: %#',
    async (row, code) => {
      const items = await csv(`${HEADER}${GOOD}\n\n${row}\n${GOOD}\n`);
      expect(codes(items)).toEqual(['value', code, 'value']);
      expect(items[1]).toMatchObject({ kind: 'malformed', row: 2, line: 4 });
      expect(items[2]).toMatchObject({ row: 3 });
      if (items[1]?.kind === 'malformed') expect(items[1].excerpt.length).toBeLessThanOrEqual(120);
    },
  );

  test('bytes that are not UTF-8 are a malformed row', async () => {
    const bytes = Buffer.concat([
      Buffer.from(`${HEADER}${GOOD}\n`),
      Buffer.from([0xc3, 0x28, 0x2c, 0x31, 0x0a]),
      Buffer.from(GOOD),
    ]);
    expect(codes(await csv(bytes))).toEqual(['value', 'ROW_NOT_TEXT', 'value']);
  });

  test('a quoted field may hold line ends; a stray quote swallows no row after it', async () => {
    const head = 'timestamp,value,note\n';
    const good = (note: string) => `2026-01-05 08:00:00,1,${note}\n`;
    expect(codes(await csv(`${head}${good('"two\nlines"')}${good('x')}`))).toEqual([
      'value',
      'value',
    ]);
    const stray = await csv(`${head}${good('"open')}${good('x').repeat(40)}`);
    expect(codes(stray)).toEqual(['ROW_UNPARSABLE', ...Array(40).fill('value')]);
    const two = await csv(`${head}${good('"open')}${good('x')}${good('"open')}${good('y')}`);
    expect(codes(two)).toEqual(['ROW_UNPARSABLE', 'value', 'ROW_UNPARSABLE', 'value']);
  });

  test('hostile text is bounded and inert, in readings and in reports', async () => {
    const hostile = '\u001b[2J\u202eevil\u0000\u2028';
    const items = await csv(
      `timestamp,value,note\n2026-01-05 08:00:00,1,${hostile}${'a'.repeat(9000)}\n${hostile}\n`,
    );
    const [reading, malformed] = items;
    if (reading?.kind !== 'value' || malformed?.kind !== 'malformed') throw new Error('shape');
    expect(reading.text?.note).toHaveLength(500);
    expect(reading.text?.note).toContain('\\u{1b}[2J\\u{202e}evil\\u{0}\\u{2028}');
    expect(malformed.excerpt).toBe('\\u{1b}[2J\\u{202e}evil\\u{0}\\u{2028}');
  });

  test('rows out of order are read and flagged', async () => {
    const items = await csv(`${HEADER}2026-01-02,1\n2026-01-01,2\n2026-01-02,3\n`);
    expect(items.map((item) => item.kind === 'value' && item.late)).toEqual([false, true, false]);
  });

  test('named text columns travel, others do not', async () => {
    const path = file('timestamp,value,a,b\n2026-01-02,1,x,y\n');
    const items = await read({ kind: 'csv', path, text: ['b'] });
    expect(items).toMatchObject([{ text: { b: 'y' } }]);
  });

  test('whatever the bytes: no row is lost, and nothing is thrown', async () => {
    const piece = fc.constantFrom('"', ',', '\n', '\r', '1', 'x', GOOD, '\0', '""', '\ufeff');
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 60 }), async (pieces) => {
        const body = pieces.join('').replaceAll('\r', '');
        const items = await csv(`${HEADER}${body}\n`);
        const lines = body.split('\n').filter((line) => line.trim() !== '');
        // A well-formed quoted field may join lines; nothing else makes fewer rows.
        if (!body.includes('"')) expect(items).toHaveLength(lines.length);
        expect(items.length).toBeLessThanOrEqual(lines.length);
        expect(items.map((item) => item.kind !== 'broken' && item.row)).toEqual(
          items.map((_, index) => index + 1),
        );
      }),
      { seed: 5, numRuns: 150 },
    );
  });

  test('it is read as it is taken, not ahead: a file far larger than memory bounds opens at once', async () => {
    const path = file(`${HEADER}${`${GOOD}\n`.repeat(200_000)}`, 'large.csv');
    const opened = await openSource(sourceSchema.parse({ kind: 'csv', path }));
    if (!opened.ok) throw new Error(opened.detail);
    const first = await opened.value.items.next();
    expect(first.value).toMatchObject({ row: 1 });
    await opened.value.close();
  });
});

test('ndjson: good lines, malformed lines, late lines', async () => {
  const path = file(
    [
      '{"timestamp":"2026-01-02T00:00:00Z","value":1,"note":"hi\\u001b","n":2}',
      '{"timestamp":"2026-01-01","value":"2"}',
      '{"timestamp":"2026-01-02","value":null}',
      '{"timestamp":5,"value":1}',
      'not json',
      '[1]',
      '',
      `"${'x'.repeat(MAX_LINE_BYTES)}"`,
    ].join('\n'),
    'input.ndjson',
  );
  const items = await read({ kind: 'ndjson', path });
  expect(codes(items)).toEqual([
    'value',
    'value',
    'VALUE_INVALID',
    'TIMESTAMP_INVALID',
    'ROW_UNPARSABLE',
    'ROW_UNPARSABLE',
    'ROW_TOO_LONG',
  ]);
  expect(items[0]).toMatchObject({ text: { note: 'hi\\u{1b}' }, late: false });
  expect(items[1]).toMatchObject({ value: 2, late: true });
});

describe('simulated', () => {
  test('the same seed gives the same rows, another one others', async () => {
    const rows = (seed: number) => read({ kind: 'simulated', seed, rows: 50 });
    expect(await rows(1)).toEqual(await rows(1));
    expect(await rows(1)).not.toEqual(await rows(2));
  });

  test('the detector finds each incident and nothing else, whatever the seed', async () => {
    const parameters = detectorSchema.parse({});
    for (let seed = 1; seed <= 12; seed += 1) {
      const config = simulatedSchema.parse({
        kind: 'simulated',
        seed,
        rows: 600,
        anomalies: seed % 4,
      });
      let state = startDetector(parameters);
      const found: number[] = [];
      for (const item of await read(config)) {
        if (item.kind !== 'value') continue;
        const judged = judge(parameters, state, item.value);
        state = judged.state;
        if (judged.anomaly) found.push(item.row);
      }
      const expected = incidentRows(config);
      expect({ seed, count: found.length }).toEqual({ seed, count: expected.length });
      found.forEach((row, index) => {
        expect(row).toBeGreaterThanOrEqual(expected[index] ?? 0);
        expect(row).toBeLessThan((expected[index] ?? 0) + 10);
      });
    }
  });
});

test('dates: with and without zone, time and fraction; never a guess', () => {
  expect(parseDate('2015-07-28 11:56:00')?.toISOString()).toBe('2015-07-28T11:56:00.000Z');
  expect(parseDate('2015-07-28T11:56:00.123456+0200')?.toISOString()).toBe(
    '2015-07-28T09:56:00.123Z',
  );
  expect(parseDate('2015-07-28')?.toISOString()).toBe('2015-07-28T00:00:00.000Z');
  for (const odd of [
    '0000-01-01T00:00+14:00',
    '9999-12-31T23:59-14:00',
    '0000-01-01',
    '',
    '1',
    '28.07.2015',
    '2015-13-01',
    '2015-07-28 11',
    '2015-07-28x',
  ]) {
    expect(parseDate(odd)).toBeUndefined();
  }
});
