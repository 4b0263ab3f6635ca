import { accept, type Outcome, refuse } from '../outcome.ts';
import type { IssuerCode } from './codes.ts';
import {
  type EntryInput,
  type EntryRules,
  localParent,
  parseEntry,
  type RegistrationEntry,
  type Selector,
  similarityOf,
} from './entry.ts';
import { byAge, createEntryIndex, type EntryIndex } from './entry-index.ts';
import { shownName } from './shown.ts';
import type { EntryStore, StoredEntry } from './store-entries.ts';

/** The registration entries in force, and how they change. */
export interface Registry {
  list(): readonly StoredEntry[];
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

/** What has become of entries; one that was changed is old in `gone`, and new in `come`. */
export interface EntryChange {
  readonly come: readonly RegistrationEntry[];
  readonly gone: readonly RegistrationEntry[];
}

export interface RegistryOptions {
  readonly store: EntryStore;
  readonly trustDomain: string;
  readonly clock: () => Date;
  readonly federated: EntryRules['federated'];
  /** Names the launcher's life: what is taken away stays away as long as it. */
  readonly launcher: string;
  /** After each change. */
  readonly changed: (change: EntryChange) => void;
}

type Entries = ReadonlyMap<string, StoredEntry>;

/** The entries of one state that another has not, or has in another revision. */
function onlyIn(one: Entries, other: Entries): readonly RegistrationEntry[] {
  return [...one.values()]
    .map(({ entry }) => entry)
    .filter(({ id, revision_number }) => other.get(id)?.entry.revision_number !== revision_number);
}

/** More than a swarm has; a bound on what one answer and one comparison can cost. */
const MAX_ENTRIES = 50_000;

export function openRegistry(options: RegistryOptions): Registry {
  const { store, trustDomain, clock, federated, launcher } = options;
  const local = new Set([localParent(trustDomain)]);
  // What is on disk, as it is asked of: one more of many entries must not cost as much as all.
  const byId = new Map<string, StoredEntry>();
  const similar = new Map<string, string>();
  const kinds = new Map<string, number>();
  let index: EntryIndex = createEntryIndex([]);

  const count = ({ selectors }: RegistrationEntry, step: number): void => {
    for (const { type, value } of selectors) {
      const kind = `${type}:${value.split(':')[0]}`;
      kinds.set(kind, (kinds.get(kind) ?? 0) + step);
    }
  };
  const note = (stored: StoredEntry): void => {
    byId.set(stored.entry.id, stored);
    similar.set(similarityOf(stored.entry), stored.entry.id);
    count(stored.entry, 1);
  };
  const load = (): void => {
    for (const known of [byId, similar, kinds]) known.clear();
    const stored = store.entries();
    index = createEntryIndex(stored.map(({ entry }) => entry));
    stored.forEach(note);
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
    list: () => [...byId.values()].sort((a, b) => byAge(a.entry, b.entry)),
    match: (selectors) => index.match(local, selectors, clock()),
    uses: (kind) => (kinds.get(kind) ?? 0) > 0,
    childrenOf: (parent) => index.childrenOf(parent, clock()),
    replace: (inputs) => {
      const parsed = parse(inputs);
      if (!parsed.ok) return parsed;
      store.replaceEntries(parsed.value, launcher);
      const before = new Map(byId);
      load();
      options.changed({ come: onlyIn(byId, before), gone: onlyIn(before, byId) });
      return accept({});
    },
    add: (inputs) => {
      const parsed = parse(inputs);
      if (!parsed.ok) return parsed;
      if (byId.size + parsed.value.length > MAX_ENTRIES) {
        return refuse('ENTRY_INVALID', `there may be ${MAX_ENTRIES} entries`);
      }
      for (const entry of parsed.value) {
        // As SPIRE's AlreadyExists: one ID, parent and selector set is one entry.
        const twin =
          similar.get(similarityOf(entry)) ?? (byId.has(entry.id) ? entry.id : undefined);
        if (twin !== undefined) {
          return refuse(
            'ENTRY_EXISTS',
            `entry ${shownName(entry.spiffe_id)}: similar to ${twin}, remove that`,
          );
        }
      }
      store.addEntries(parsed.value);
      for (const entry of parsed.value) {
        note({ entry, origin: 'added' });
        index.add(entry);
      }
      options.changed({ come: parsed.value, gone: [] });
      return parsed;
    },
    remove: (id) => {
      const found = byId.get(id);
      if (found === undefined) return refuse('ENTRY_UNKNOWN', `no entry has the id ${id}`);
      store.removeEntry(id, launcher);
      byId.delete(id);
      similar.delete(similarityOf(found.entry));
      count(found.entry, -1);
      index.remove(found.entry);
      options.changed({ come: [], gone: [found.entry] });
      return accept(found);
    },
  };
}
