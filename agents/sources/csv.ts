import { parse } from 'csv-parse/sync';
import { z } from 'zod';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { AgentCode } from '../codes.ts';
import { inert } from '../text.ts';
import { type Line, type LineFile, MAX_LINE_BYTES, openLines } from './lines.ts';
import { excerptOf, lateness, parseRow, type Source, type SourceItem, textOf } from './source.ts';

const column = z.string().min(1).max(64);
export const csvSchema = z.strictObject({
  kind: z.literal('csv'),
  path: z.string().min(1).max(4096),
  /** Names of the two columns, as in the header; case and surrounding spaces do not matter. */
  timestamp: column.default('timestamp'),
  value: column.default('value'),
  /** Columns that travel as free text; without it every other column, at most four. */
  text: z.array(column).max(4).optional(),
  /** Milliseconds between rows; 0: as fast as they are taken. */
  intervalMs: z.int().min(0).max(3_600_000).default(0),
});
export type CsvConfig = z.infer<typeof csvSchema>;

/** Lines that one quoted field may span before its opening quote is taken for a mistake. */
const MAX_SPAN = 16;

interface Columns {
  readonly count: number;
  readonly timestamp: number;
  readonly value: number;
  readonly text: readonly (readonly [string, number])[];
}

/** A file with a header and one reading per row. Refused before the first row when it has none. */
export async function openCsv(config: CsvConfig): Promise<Outcome<Source, AgentCode>> {
  const opened = await openLines(config.path);
  if (!opened.ok) return opened;
  const file = opened.value;
  const first = await file.lines.next();
  const columns = first.done === true ? undefined : readHeader(first.value, config);
  if (columns === undefined) {
    await file.close();
    return refuse(
      'SOURCE_HEADER_INVALID',
      `${inert(config.path, 200)}: the first line must name the columns "${inert(config.timestamp, 64)}" and "${inert(config.value, 64)}"`,
    );
  }
  return accept({
    name: file.name,
    items: readRows(file, columns),
    intervalMs: config.intervalMs,
    close: file.close,
  });
}

/** The fields of one CSV record; `undefined` when it is none. */
function fieldsOf(record: string): readonly string[] | undefined {
  try {
    const rows: string[][] = parse(record, {
      max_record_size: MAX_LINE_BYTES * 2,
      trim: true,
    });
    return rows.length === 1 ? rows[0] : undefined;
  } catch {
    return undefined;
  }
}

function readHeader(line: Line, config: CsvConfig): Columns | undefined {
  const names = line.whole && line.utf8 ? fieldsOf(line.text) : undefined;
  if (names === undefined) return undefined;
  const plain = names.map((name) => name.trim().toLowerCase());
  const find = (name: string) => plain.indexOf(name.trim().toLowerCase());
  const timestamp = find(config.timestamp);
  const value = find(config.value);
  if (timestamp === -1 || value === -1 || timestamp === value) return undefined;
  const others = names
    .map((name, index) => [name.trim(), index] as const)
    .filter(([, index]) => index !== timestamp && index !== value);
  const wanted = config.text?.map((name) => name.trim().toLowerCase());
  const text =
    wanted === undefined ? others : others.filter(([name]) => wanted.includes(name.toLowerCase()));
  return { count: names.length, timestamp, value, text };
}

async function* readRows(
  file: LineFile,
  columns: Columns,
): AsyncGenerator<SourceItem, void, undefined> {
  const isLate = lateness();
  const waiting: Line[] = [];
  let row = 0;

  const nextLine = async (): Promise<Line | undefined> => {
    const held = waiting.shift();
    if (held !== undefined) return held;
    const read = await file.lines.next();
    return read.done === true ? undefined : read.value;
  };

  /**
   * Joins the lines of a quoted field. Where the quote is not closed within the limits, only its
   * own line is the malformed row: a stray quote must not swallow the rows after it.
   */
  const record = async (line: Line): Promise<string | undefined> => {
    if (!line.text.includes('"') || balanced(line.text)) return line.text;
    const joined = [line];
    let length = line.text.length;
    for (;;) {
      const more = joined.length < MAX_SPAN ? await nextLine() : undefined;
      if (more !== undefined) joined.push(more);
      length += more?.text.length ?? 0;
      const text = joined.map((part) => part.text).join('\n');
      if (more?.whole && more.utf8 && length <= MAX_LINE_BYTES) {
        if (balanced(text)) {
          // Two stray quotes, lines apart, also balance: the record must have the header's fields.
          if (fieldsOf(text)?.length === columns.count) return text;
        } else continue;
      }
      waiting.unshift(...joined.slice(1));
      return undefined;
    }
  };

  for (;;) {
    const line = await nextLine();
    if (line === undefined) break;
    if (line.text.trim() === '' && line.whole) continue;
    row += 1;
    const malformed = (code: AgentCode): SourceItem => ({
      kind: 'malformed',
      row,
      line: line.number,
      code,
      excerpt: excerptOf(line.text),
    });
    if (!line.whole) yield malformed('ROW_TOO_LONG');
    else if (!line.utf8) yield malformed('ROW_NOT_TEXT');
    else {
      const text = await record(line);
      const fields = text === undefined ? undefined : fieldsOf(text);
      yield fields === undefined
        ? malformed('ROW_UNPARSABLE')
        : itemOf(fields, columns, row, isLate, malformed);
    }
  }
  const failure = file.failure();
  if (failure !== undefined) yield { kind: 'broken', detail: failure };
}

function balanced(text: string): boolean {
  let quotes = 0;
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at + 1)) quotes += 1;
  return quotes % 2 === 0;
}

function itemOf(
  fields: readonly string[],
  columns: Columns,
  row: number,
  isLate: (at: Date) => boolean,
  malformed: (code: AgentCode) => SourceItem,
): SourceItem {
  if (fields.length !== columns.count) return malformed('ROW_FIELDS_MISMATCH');
  const parsed = parseRow(fields[columns.timestamp] ?? '', fields[columns.value] ?? '');
  if (!parsed.ok) return malformed(parsed.code);
  const text = textOf(columns.text.map(([name, index]) => [name, fields[index] ?? ''] as const));
  return { kind: 'value', row, at: parsed.at, value: parsed.value, late: isLate(parsed.at), text };
}
