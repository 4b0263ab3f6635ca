import { appendFile } from 'node:fs/promises';
import type { FeedHold, FeedRow } from '#scenarios/scenario.ts';

/** One line of a feed: what sensors of the kind `ndjson` read. */
export function feedLine({ at, value, note }: FeedRow): string {
  return `${JSON.stringify({ timestamp: at, value, ...(note !== undefined && { note }) })}\n`;
}

/** The right to add rows to one file. */
export function feedHold(path: string): FeedHold {
  return {
    kind: 'text in a reading',
    append: (rows) => appendFile(path, rows.map(feedLine).join('')),
  };
}
