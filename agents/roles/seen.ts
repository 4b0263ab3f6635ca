/**
 * Which rows of one source were received, in bounded memory: the highest, and the gaps below it.
 * A record that expired is signed again and may arrive after younger rows; it must not count as
 * seen. A row that fell out of the gaps kept does: the sender of that many holes harms only itself.
 */
export interface Seen {
  readonly highest: number;
  readonly missing: ReadonlySet<number>;
}

export const NOTHING_SEEN: Seen = { highest: 0, missing: new Set() };
const MAX_MISSING = 2048;

/** `undefined` when the row was seen before. */
export function see(seen: Seen, row: number): Seen | undefined {
  if (row === seen.highest + 1) return { highest: row, missing: seen.missing };
  if (row > seen.highest) {
    const missing = new Set(seen.missing);
    const first = Math.max(seen.highest + 1, row - MAX_MISSING);
    for (let gap = first; gap < row; gap += 1) missing.add(gap);
    for (const oldest of missing) {
      if (missing.size <= MAX_MISSING) break;
      missing.delete(oldest);
    }
    return { highest: row, missing };
  }
  if (!seen.missing.has(row)) return undefined;
  const missing = new Set(seen.missing);
  missing.delete(row);
  return { highest: seen.highest, missing };
}
