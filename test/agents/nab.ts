import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** Three road series of the Numenta Anomaly Benchmark, kept beside the checkout. */
const FOLDER = new URL('../../../shared/data/nab/', import.meta.url).pathname;
export const NAB_MISSING = `road series not found in ../shared/data/nab beside the checkout`;

export interface RoadSeries {
  readonly file: string;
  readonly path: string;
  readonly measure: string;
  /** Labelled incidents, [from, to] in milliseconds. */
  readonly windows: readonly (readonly [number, number])[];
  readonly rows: readonly { readonly at: number; readonly value: number }[];
}

/** Whether the data is there. On CI its absence is a failure, elsewhere a reason to skip. */
export function nabPresent(): boolean {
  const present = existsSync(join(FOLDER, 'windows.json'));
  if (!present && process.env.CI) throw new Error(`${NAB_MISSING}; CI must provide it`);
  return present;
}

const utc = (text: string) => Date.parse(`${text.replace(' ', 'T').slice(0, 19)}Z`);

export function loadNab(): readonly RoadSeries[] {
  const windows = z
    .record(z.string(), z.array(z.tuple([z.string(), z.string()])))
    .parse(JSON.parse(readFileSync(join(FOLDER, 'windows.json'), 'utf8')));
  return Object.entries(windows).map(([file, spans]) => {
    const [, ...lines] = readFileSync(join(FOLDER, file), 'utf8').trim().split(/\r?\n/);
    return {
      file,
      path: join(FOLDER, file),
      measure: file.startsWith('TravelTime') ? 'travel time' : (file.split('_')[0] ?? ''),
      windows: spans.map(([from, to]) => [utc(from), utc(to)] as const),
      rows: lines.map((line) => {
        const [at = '', value = ''] = line.split(',');
        return { at: utc(at), value: Number(value) };
      }),
    };
  });
}

export function within(at: number, windows: RoadSeries['windows']): boolean {
  return windows.some(([from, to]) => at >= from && at <= to);
}
