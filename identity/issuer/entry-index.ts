import { isExpired, type RegistrationEntry, type Selector, selectorText } from './entry.ts';

/** Registration entries, found by what a caller has. */
export interface EntryIndex {
  /**
   * The entries of one parent whose selectors are all among the caller's (SPIRE's subset match) and
   * that have not expired; oldest first, so that the default identity is stable. Of two with one
   * hint the older one wins.
   */
  match(
    parents: ReadonlySet<string>,
    selectors: readonly Selector[],
    now: Date,
  ): readonly RegistrationEntry[];
}

/**
 * Each entry is filed under the one of its selectors that fewest others have, so that a caller is
 * compared with a handful of entries and not with all of them, at each message of each stream.
 */
export function createEntryIndex(entries: readonly RegistrationEntry[]): EntryIndex {
  const counts = new Map<string, number>();
  for (const { selectors } of entries) {
    for (const text of selectors.map(selectorText)) counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  const filed = new Map<string, RegistrationEntry[]>();
  for (const entry of entries) {
    const [rarest] = entry.selectors
      .map(selectorText)
      .sort((a, b) => (counts.get(a) ?? 0) - (counts.get(b) ?? 0));
    // An entry without selectors would match everybody: there is none, and none is filed.
    if (rarest === undefined) continue;
    const drawer = filed.get(rarest);
    if (drawer === undefined) filed.set(rarest, [entry]);
    else drawer.push(entry);
  }
  return {
    match: (parents, selectors, now) => {
      const have = new Set(selectors.map(selectorText));
      const matching = [...have]
        .flatMap((text) => filed.get(text) ?? [])
        .filter((entry) => parents.has(entry.parent_id) && !isExpired(entry, now))
        .filter((entry) => entry.selectors.every((one) => have.has(selectorText(one))));
      return withoutSameHint(matching.sort(byAge));
    },
  };
}

/** Oldest first; the id decides between entries of one second. */
export function byAge(a: RegistrationEntry, b: RegistrationEntry): number {
  return a.created_at - b.created_at || (a.id < b.id ? -1 : 1);
}

function withoutSameHint(entries: readonly RegistrationEntry[]): readonly RegistrationEntry[] {
  const hints = new Set<string>();
  return entries.filter(({ hint }) => {
    if (hint === '') return true;
    if (hints.has(hint)) return false;
    hints.add(hint);
    return true;
  });
}
