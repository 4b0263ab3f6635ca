import type { DatabaseSync } from 'node:sqlite';
import { spiffeId } from '../spiffe-id.ts';
import { type RegistrationEntry, similarityOf } from './entry.ts';

/** Where an entry comes from: the launcher's swarm file, or an operator while the swarm ran. */
export type EntryOrigin = 'file' | 'added';

export interface StoredEntry {
  readonly entry: RegistrationEntry;
  readonly origin: EntryOrigin;
}

/** Registration entries on disk. Each method is one transaction. */
export interface EntryStore {
  entries(): readonly StoredEntry[];
  /**
   * Replaces those of the swarm file; what an operator added stays. An entry that stays keeps
   * `created_at`, a changed one gets a new revision. What was withdrawn under this launcher does
   * not come back. What an operator added under an id of the file's, or with the same SPIFFE ID,
   * parent and selectors, is the file's now: it would outlive the removal of its twin.
   */
  replaceEntries(entries: readonly RegistrationEntry[], launcher: string): void;
  /** All or none. @throws Error on an id that is taken */
  addEntries(entries: readonly RegistrationEntry[]): void;
  /**
   * Takes an entry away. One of the swarm file stays away as long as this launcher lives, also
   * from an issuer that starts anew: a crash must not give back what was revoked.
   */
  removeEntry(id: string, launcher: string): void;
}

// The body is the entry as JSON: SQLite searches nothing in it, and a new field needs no new table.
export const ENTRY_SCHEMA = `
DROP TABLE IF EXISTS entries;
CREATE TABLE IF NOT EXISTS registration_entries (
  id TEXT PRIMARY KEY, origin TEXT NOT NULL CHECK (origin IN ('file', 'added')), body TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS withdrawn_entries (
  id TEXT PRIMARY KEY, launcher TEXT NOT NULL
) STRICT;
`;

export function openEntryStore(
  db: DatabaseSync,
  transaction: (work: () => void) => void,
): EntryStore {
  const all = db.prepare('SELECT origin, body FROM registration_entries');
  const insert = db.prepare('INSERT INTO registration_entries VALUES (?, ?, ?)');
  const remove = db.prepare('DELETE FROM registration_entries WHERE id = ?');
  const withdrawn = db.prepare('SELECT id FROM withdrawn_entries WHERE launcher = ?');
  const withdraw = db.prepare('INSERT OR REPLACE INTO withdrawn_entries VALUES (?, ?)');
  const put = (entry: RegistrationEntry, origin: EntryOrigin): void => {
    insert.run(entry.id, origin, JSON.stringify(entry));
  };
  const entries = (): StoredEntry[] =>
    all.all().map(({ origin, body }) => {
      const entry: RegistrationEntry = JSON.parse(String(body));
      // The ID was parsed before it was stored; a database that says otherwise is not read on.
      spiffeId(entry.spiffe_id);
      return { entry, origin: origin === 'added' ? 'added' : 'file' };
    });

  return {
    entries,
    replaceEntries: (next, launcher) => {
      const away = new Set(withdrawn.all(launcher).map(({ id }) => String(id)));
      const stored = entries();
      const known = new Map(stored.map(({ entry }) => [entry.id, entry]));
      const merged = next
        .filter(({ id }) => !away.has(id))
        .map((entry) => ({ ...entry, ...carryOver(known.get(entry.id), entry) }));
      const similar = new Set(merged.map(similarityOf));
      const twins = stored.filter(
        ({ origin, entry }) => origin === 'added' && similar.has(similarityOf(entry)),
      );
      const before = new Map(
        stored
          .filter(({ origin }) => origin === 'file')
          .map(({ entry }) => [entry.id, entry.revision_number]),
      );
      const same = merged.every(({ id, revision_number: now }) => before.get(id) === now);
      if (same && merged.length === before.size && twins.length === 0) return;
      transaction(() => {
        db.exec("DELETE FROM registration_entries WHERE origin = 'file'");
        for (const { entry } of twins) remove.run(entry.id);
        for (const entry of merged) {
          // The swarm file now has what an operator once added.
          remove.run(entry.id);
          put(entry, 'file');
        }
      });
    },
    addEntries: (more) => {
      transaction(() => {
        for (const entry of more) put(entry, 'added');
      });
    },
    removeEntry: (id, launcher) => {
      transaction(() => {
        remove.run(id);
        db.prepare('DELETE FROM withdrawn_entries WHERE launcher <> ?').run(launcher);
        withdraw.run(id, launcher);
      });
    },
  };
}

function carryOver(
  old: RegistrationEntry | undefined,
  entry: RegistrationEntry,
): Pick<RegistrationEntry, 'revision_number' | 'created_at'> {
  if (old === undefined) return entry;
  const { revision_number, created_at } = old;
  const same = JSON.stringify({ ...entry, revision_number, created_at }) === JSON.stringify(old);
  return { revision_number: same ? revision_number : revision_number + 1, created_at };
}
