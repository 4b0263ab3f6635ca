import { z } from 'zod';
import { accept, type Outcome } from '#identity/outcome.ts';
import type { AgentCode } from '../codes.ts';
import { fromText } from '../json.ts';
import { type Line, type LineFile, openLines } from './lines.ts';
import { excerptOf, lateness, parseRow, type Source, type SourceItem, textOf } from './source.ts';

const member = z.string().min(1).max(64);
export const ndjsonSchema = z.strictObject({
  kind: z.literal('ndjson'),
  path: z.string().min(1).max(4096),
  /** Members of each line's object. */
  timestamp: member.default('timestamp'),
  value: member.default('value'),
  /** Members that travel as free text; without it every other text, at most four. */
  text: z.array(member).max(4).optional(),
  /** Read on at the end, like `tail -f`; such a source is never done. */
  follow: z.boolean().default(false),
  intervalMs: z.int().min(0).max(3_600_000).default(0),
});
export type NdjsonConfig = z.infer<typeof ndjsonSchema>;

/** A file with one JSON object per line. */
export async function openNdjson(config: NdjsonConfig): Promise<Outcome<Source, AgentCode>> {
  const opened = await openLines(config.path, { follow: config.follow });
  if (!opened.ok) return opened;
  const file = opened.value;
  return accept({
    name: file.name,
    items: readRows(file, config),
    intervalMs: config.intervalMs,
    end: file.end,
    close: file.close,
  });
}

async function* readRows(
  file: LineFile,
  config: NdjsonConfig,
): AsyncGenerator<SourceItem, void, undefined> {
  const isLate = lateness();
  let row = 0;
  for await (const line of file.lines) {
    if (line.text.trim() === '' && line.whole) continue;
    row += 1;
    const item = parseLine(line, config);
    if (typeof item === 'string') {
      yield {
        kind: 'malformed',
        row,
        line: line.number,
        code: item,
        excerpt: excerptOf(line.text),
      };
    } else {
      yield { kind: 'value', row, ...item, late: isLate(item.at) };
    }
  }
  const failure = file.failure();
  if (failure !== undefined) yield { kind: 'broken', detail: failure };
}

function parseLine(line: Line, config: NdjsonConfig) {
  if (!line.whole) return 'ROW_TOO_LONG';
  if (!line.utf8) return 'ROW_NOT_TEXT';
  const json = fromText(line.text);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return 'ROW_UNPARSABLE';
  const members = new Map(Object.entries(json));
  const timestamp = members.get(config.timestamp);
  const value = members.get(config.value);
  const parsed = parseRow(
    typeof timestamp === 'string' ? timestamp : '',
    typeof value === 'number' || typeof value === 'string' ? String(value) : '',
  );
  if (!parsed.ok) return parsed.code;
  const texts: [string, string][] = [];
  for (const [name, given] of members) {
    if (name === config.timestamp || name === config.value || typeof given !== 'string') continue;
    if (config.text === undefined || config.text.includes(name)) texts.push([name, given]);
  }
  return { at: parsed.at, value: parsed.value, text: textOf(texts) };
}
