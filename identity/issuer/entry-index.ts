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
  /** Those of one parent that have not expired; oldest first. */
  childrenOf(parent: string, now: Date): readonly RegistrationEntry[];
  add(entry: RegistrationEntry): void;
  remove(entry: RegistrationEntry): void;
}

type Drawers = Map<string, Map<string, RegistrationEntry>>;

function put(drawers: Drawers, key: string, entry: RegistrationEntry): void {
  const drawer = drawers.get(key);
  if (drawer === undefined) drawers.set(key, new Map([[entry.id, entry]]));
  else drawer.set(entry.id, entry);
}

function take(drawers: Drawers, key: string, { id }: RegistrationEntry): void {
  const drawer = drawers.get(key);
  drawer?.delete(id);
  if (drawer?.size === 0) drawers.delete(key);
}

/**
 * Each entry is filed under the one of its selectors that fewest others have, so that a caller is
 * compared with a handful of entries and not with all of them, at each message of each stream.
 */
export function createEntryIndex(entries: readonly RegistrationEntry[]): EntryIndex {
  const counts = new Map<string, number>();
  const count = ({ selectors }: RegistrationEntry, step: number): void => {
    for (const text of selectors.map(selectorText)) {
      const left = (counts.get(text) ?? 0) + step;
      if (left > 0) counts.set(text, left);
      else counts.delete(text);
    }
  };
  const filed: Drawers = new Map();
  const byParent: Drawers = new Map();
  const file = (entry: RegistrationEntry): void => {
    put(byParent, entry.parent_id, entry);
    const [rarest] = entry.selectors
      .map(selectorText)
      .sort((a, b) => (counts.get(a) ?? 0) - (counts.get(b) ?? 0));
    // An entry without selectors would match everybody: there is none, and none is filed.
    if (rarest !== undefined) put(filed, rarest, entry);
  };
  // All are counted before one is filed.
  for (const entry of entries) count(entry, 1);
  for (const entry of entries) file(entry);

  return {
    add: (entry) => {
      count(entry, 1);
      file(entry);
    },
    remove: (entry) => {
      count(entry, -1);
      take(byParent, entry.parent_id, entry);
      // What was rarest then need not be rarest now.
      for (const text of entry.selectors.map(selectorText)) take(filed, text, entry);
    },
    childrenOf: (parent, now) =>
      [...(byParent.get(parent)?.values() ?? [])]
        .filter((entry) => !isExpired(entry, now))
        .sort(byAge),
    match: (parents, selectors, now) => {
      const have = new Set(selectors.map(selectorText));
      const matching = [...have]
        .flatMap((text) => [...(filed.get(text)?.values() ?? [])])
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
