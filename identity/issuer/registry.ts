import { accept, type Outcome, refuse } from '../outcome.ts';
import type { IssuerCode } from './codes.ts';
import {
  type EntryInput,
  type EntryRules,
  isExpired,
  localParent,
  parseEntry,
  type RegistrationEntry,
  type Selector,
  similarityOf,
} from './entry.ts';
import { byAge, createEntryIndex, type EntryIndex } from './entry-index.ts';
import type { EntryStore, StoredEntry } from './store-entries.ts';

/** The registration entries in force, and how they change. */
export interface Registry {
  list(): readonly StoredEntry[];
  entries(): readonly RegistrationEntry[];
  /** What a caller on this machine is entitled to. */
  match(selectors: readonly Selector[]): readonly RegistrationEntry[];
  /** Whether an entry has a selector that begins so: `unix:sha256`. */
  uses(kind: string): boolean;
  /** What a joined node may ask for: the entries whose parent it is. */
  childrenOf(parent: string): readonly RegistrationEntry[];
  /** Replaces the entries of the swarm file; those that an operator added stay. */
  replace(inputs: readonly EntryInput[]): Outcome<unknown, IssuerCode>;
  /** All or none. */
  add(inputs: readonly EntryInput[]): Outcome<readonly RegistrationEntry[], IssuerCode>;
  remove(id: string): Outcome<StoredEntry, IssuerCode>;
}

export interface RegistryOptions {
  readonly store: EntryStore;
  readonly trustDomain: string;
  readonly clock: () => Date;
  readonly federated: EntryRules['federated'];
  /** Names the launcher's life: what is taken away stays away as long as it. */
  readonly launcher: string;
  /** After each change, with the entries that there are now. */
  readonly changed: (entries: readonly RegistrationEntry[]) => void;
}

/** More than a swarm has; a bound on what one answer and one comparison can cost. */
const MAX_ENTRIES = 50_000;

export function openRegistry(options: RegistryOptions): Registry {
  const { store, trustDomain, clock, federated, launcher } = options;
  const local = new Set([localParent(trustDomain)]);
  let stored: readonly StoredEntry[] = [];
  let entries: readonly RegistrationEntry[] = [];
  let index: EntryIndex = createEntryIndex([]);
  let kinds: ReadonlySet<string> = new Set();

  const load = (): void => {
    stored = [...store.entries()].sort((a, b) => byAge(a.entry, b.entry));
    entries = stored.map(({ entry }) => entry);
    index = createEntryIndex(entries);
    const words = entries.flatMap(({ selectors }) => selectors);
    kinds = new Set(words.map(({ type, value }) => `${type}:${value.split(':')[0]}`));
  };
  const changed = (): void => {
    load();
    options.changed(entries);
  };
  const parse = (
    inputs: readonly EntryInput[],
  ): Outcome<readonly RegistrationEntry[], IssuerCode> => {
    const rules = { trustDomain, now: clock(), federated };
    const parsed: RegistrationEntry[] = [];
    for (const input of inputs) {
      const entry = parseEntry(input, rules);
      if (!entry.ok) return entry;
      parsed.push(entry.value);
    }
    if (new Set(parsed.map(similarityOf)).size !== parsed.length) {
      return refuse('ENTRY_INVALID', 'two entries have the same ID, parent and selectors');
    }
    if (new Set(parsed.map(({ id }) => id)).size !== parsed.length) {
      return refuse('ENTRY_INVALID', 'two entries have the same entry id');
    }
    return accept(parsed);
  };
  load();

  return {
    list: () => stored,
    entries: () => entries,
    match: (selectors) => index.match(local, selectors, clock()),
    uses: (kind) => kinds.has(kind),
    childrenOf: (parent) =>
      entries.filter((entry) => entry.parent_id === parent && !isExpired(entry, clock())),
    replace: (inputs) => {
      const parsed = parse(inputs);
      if (!parsed.ok) return parsed;
      store.replaceEntries(parsed.value, launcher);
      changed();
      return accept({});
    },
    add: (inputs) => {
      const parsed = parse(inputs);
      if (!parsed.ok) return parsed;
      if (entries.length + parsed.value.length > MAX_ENTRIES) {
        return refuse('ENTRY_INVALID', `there may be ${MAX_ENTRIES} entries`);
      }
      const ids = new Set(entries.map(({ id }) => id));
      const similar = new Map(entries.map((entry) => [similarityOf(entry), entry.id]));
      for (const entry of parsed.value) {
        // As SPIRE's AlreadyExists: one ID, parent and selector set is one entry.
        const twin = similar.get(similarityOf(entry)) ?? (ids.has(entry.id) ? entry.id : undefined);
        if (twin !== undefined) {
          return refuse(
            'ENTRY_EXISTS',
            `entry ${entry.spiffe_id}: similar to ${twin}, remove that`,
          );
        }
      }
      store.addEntries(parsed.value);
      changed();
      return parsed;
    },
    remove: (id) => {
      const found = stored.find(({ entry }) => entry.id === id);
      if (found === undefined) return refuse('ENTRY_UNKNOWN', `no entry has the id ${id}`);
      store.removeEntry(id, launcher);
      changed();
      return accept(found);
    },
  };
}
