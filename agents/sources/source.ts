import type { AgentCode } from '../codes.ts';
import { MAX_EXCERPT, MAX_TEXT, MAX_TEXT_COLUMNS } from '../reading.ts';
import { inert } from '../text.ts';

/** One row of input. `row` counts data rows from 1, malformed ones too; `line` is the file's. */
export type SourceItem =
  | {
      readonly kind: 'value';
      readonly row: number;
      readonly at: Date;
      readonly value: number;
      readonly late: boolean;
      readonly text: Readonly<Record<string, string>> | undefined;
    }
  | {
      readonly kind: 'malformed';
      readonly row: number;
      readonly line: number;
      readonly code: AgentCode;
      /** Bounded and escaped. */
      readonly excerpt: string;
    }
  /** The last item of a source that could not be read to its end. */
  | { readonly kind: 'broken'; readonly detail: string };

/** Rows are made when they are asked for: a source is as fast as its reader. */
export interface Source {
  /** Part of every reading's id: the same for the same input, also after a restart. */
  readonly name: string;
  readonly items: AsyncGenerator<SourceItem, void, undefined>;
  /** Milliseconds that its reader waits between rows; 0: as fast as they are taken. */
  readonly intervalMs: number;
  /** Ends one that waits for more; absent where the next row never has to be waited for. */
  end?(): void;
  /** Releases what it holds; to be called once, also when it was read to its end or not at all. */
  close(): Promise<void>;
}

export type RowResult =
  | { readonly ok: true; readonly at: Date; readonly value: number }
  | { readonly ok: false; readonly code: AgentCode };

const MAX_NUMBER_LENGTH = 64;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?$/;
const DATE =
  /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)\s?(Z|[+-]\d{2}:?\d{2})?)?$/;

/** A date with or without a time; without a zone it is UTC, whatever the machine's zone. */
export function parseDate(field: string): Date | undefined {
  const text = field.trim();
  const match = text.length > MAX_NUMBER_LENGTH ? null : DATE.exec(text);
  if (match === null) return undefined;
  const [, day = '', time = '00:00:00', zone = 'Z'] = match;
  const [clock = '', fraction = ''] = time.split('.');
  const offset = zone === 'Z' || zone.includes(':') ? zone : `${zone.slice(0, 3)}:${zone.slice(3)}`;
  const seconds = clock.length === 5 ? `${clock}:00` : clock;
  const date = new Date(`${day}T${seconds}.${`${fraction}000`.slice(0, 3)}${offset}`);
  // A zone can carry the first and last days out of the years that four digits spell.
  const year = date.getUTCFullYear();
  if (Number.isNaN(year) || year < 1 || year > 9999) return undefined;
  // 30 February would become 1 March.
  const local = new Date(`${day}T00:00:00Z`);
  return local.toISOString().startsWith(day) ? date : undefined;
}

export function parseRow(timestamp: string, value: string): RowResult {
  const at = parseDate(timestamp);
  if (at === undefined) return { ok: false, code: 'TIMESTAMP_INVALID' };
  const text = value.trim();
  if (text.length > MAX_NUMBER_LENGTH || !NUMBER.test(text))
    return { ok: false, code: 'VALUE_INVALID' };
  const number = Number(text);
  if (!Number.isFinite(number)) return { ok: false, code: 'VALUE_INVALID' };
  return { ok: true, at, value: number };
}

/** Free text of a row, bounded in columns and length, escaped; `undefined` when there is none. */
export function textOf(
  columns: Iterable<readonly [string, string]>,
): Record<string, string> | undefined {
  const kept: [string, string][] = [];
  for (const [name, value] of columns) {
    if (value === '') continue;
    if (kept.length === MAX_TEXT_COLUMNS) break;
    kept.push([inert(name, 64), inert(value, MAX_TEXT)]);
  }
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

export function excerptOf(raw: string): string {
  return inert(raw, MAX_EXCERPT);
}

/** Tells whether a row is older than one before it. One false far date flags rows, no more. */
export function lateness(): (at: Date) => boolean {
  let newest = Number.NEGATIVE_INFINITY;
  return (at) => {
    const time = at.getTime();
    if (time < newest) return true;
    newest = time;
    return false;
  };
}
