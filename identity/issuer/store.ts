import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { spiffeId } from '../spiffe-id.ts';
import type { IssuerCode } from './codes.ts';
import type { RegistrationEntry } from './entry.ts';
import { chain, type Issuance, type LogHead, type LogRow, verifyLog } from './log.ts';

/** SPIRE's journal states. A prepared authority is published before it signs. */
export type AuthorityState = 'prepared' | 'active' | 'old';

export interface AuthorityRow {
  readonly id: string;
  readonly state: AuthorityState;
  readonly certificate: Uint8Array;
  /** PKCS#8, sealed under the id as label. */
  readonly sealedKey: Uint8Array;
}

/** The issuer's memory. Each method is one transaction, on disk when it returns. */
export interface Store {
  entries(): readonly RegistrationEntry[];
  /** Replaces the set; an entry that stays keeps `created_at`, a changed one gets a new revision. */
  replaceEntries(entries: readonly RegistrationEntry[]): void;
  authorities(): readonly AuthorityRow[];
  /** Replaces the journal as a whole. */
  writeAuthorities(rows: readonly AuthorityRow[]): void;
  /** Appends to the log and to the outbox, all or nothing, before a certificate is handed out. */
  recordIssuances(issuances: readonly Issuance[]): void;
  log(): readonly LogRow[];
  /** Rows that the ledger has not acknowledged yet, oldest first. */
  pending(limit: number): readonly LogRow[];
  acknowledge(upTo: number): void;
  close(): void;
}

// STRICT: a column holds what it says. The outbox is a row of its own, so that delivery never
// touches the log.
const SCHEMA = `
CREATE TABLE IF NOT EXISTS entries (
  id TEXT PRIMARY KEY, spiffe_id TEXT NOT NULL, parent_id TEXT NOT NULL, selectors TEXT NOT NULL,
  x509_svid_ttl INTEGER NOT NULL, dns_names TEXT NOT NULL, hint TEXT NOT NULL,
  revision_number INTEGER NOT NULL, created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS authorities (
  id TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (state IN ('prepared', 'active', 'old')),
  certificate BLOB NOT NULL, sealed_key BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS one_active ON authorities (state) WHERE state = 'active';
CREATE TABLE IF NOT EXISTS issuances (
  seq INTEGER PRIMARY KEY, previous TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS outbox (seq INTEGER PRIMARY KEY REFERENCES issuances (seq)) STRICT;
`;

type Row = Record<string, SQLOutputValue>;
const text = (row: Row, name: string): string => String(row[name]);
const bytes = (row: Row, name: string): Uint8Array => {
  const value = row[name];
  return value instanceof Uint8Array ? value : new Uint8Array(0);
};

function toEntry(row: Row): RegistrationEntry {
  return {
    id: text(row, 'id'),
    spiffe_id: spiffeId(text(row, 'spiffe_id')),
    parent_id: text(row, 'parent_id'),
    selectors: JSON.parse(text(row, 'selectors')),
    x509_svid_ttl: Number(row.x509_svid_ttl),
    dns_names: JSON.parse(text(row, 'dns_names')),
    hint: text(row, 'hint'),
    revision_number: Number(row.revision_number),
    created_at: Number(row.created_at),
  };
}

function toLogRow(row: Row): LogRow {
  const { previous, body, hash } = { previous: '', body: '', hash: '', ...row };
  return { seq: Number(row.seq), previous, body, hash };
}

function toAuthority(row: Row): AuthorityRow {
  const state = text(row, 'state') as AuthorityState;
  const [certificate, sealedKey] = [bytes(row, 'certificate'), bytes(row, 'sealed_key')];
  return { id: text(row, 'id'), state, certificate, sealedKey };
}

function openDatabase(folder: string): DatabaseSync {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  const path = join(folder, 'issuer.db');
  // SQLite gives its side files the mode of the main file.
  closeSync(openSync(path, 'a', 0o600));
  const db = new DatabaseSync(path);
  // EXCLUSIVE: a second issuer on the same state would fork the log; it is refused at once.
  // FULL: a commit has reached the disk when it returns, so kill -9 and power loss lose nothing.
  db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
  db.exec(SCHEMA);
  return db;
}

/** Opens or makes the state folder (0700) and checks the log; refused when it does not chain. */
export function openStore(folder: string): Outcome<Store, IssuerCode> {
  let db: DatabaseSync;
  try {
    db = openDatabase(folder);
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown error';
    return refuse('STATE_UNREADABLE', `${folder}: ${why}; is another issuer running on it?`);
  }
  const all = db.prepare('SELECT * FROM issuances ORDER BY seq');
  const verified = verifyLog(all.all().map(toLogRow));
  if (!verified.ok) {
    db.close();
    return verified;
  }
  return accept(wrap(db, verified.value));
}

function wrap(db: DatabaseSync, start: LogHead): Store {
  let head = start;
  const transaction = (work: () => void): void => {
    db.exec('BEGIN IMMEDIATE');
    try {
      work();
      db.exec('COMMIT');
    } catch (error) {
      db.exec('ROLLBACK');
      throw error;
    }
  };
  const insertLog = db.prepare('INSERT INTO issuances VALUES (?, ?, ?, ?)');
  const insertOutbox = db.prepare('INSERT INTO outbox VALUES (?)');
  const insertEntry = db.prepare('INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const insertAuthority = db.prepare('INSERT INTO authorities VALUES (?, ?, ?, ?)');
  const pending = db.prepare(
    'SELECT issuances.* FROM outbox JOIN issuances USING (seq) ORDER BY seq LIMIT ?',
  );
  const entries = (): RegistrationEntry[] => db.prepare('SELECT * FROM entries').all().map(toEntry);

  return {
    entries,
    replaceEntries: (next) => {
      const stored = entries();
      const known = new Map(stored.map((entry) => [entry.id, entry]));
      const merged = next.map((entry) => ({ ...entry, ...carryOver(known.get(entry.id), entry) }));
      const same = merged.every(
        (entry) => entry.revision_number === known.get(entry.id)?.revision_number,
      );
      if (same && merged.length === stored.length) return;
      transaction(() => {
        db.exec('DELETE FROM entries');
        for (const entry of merged) {
          insertEntry.run(
            entry.id,
            entry.spiffe_id,
            entry.parent_id,
            JSON.stringify(entry.selectors),
            entry.x509_svid_ttl,
            JSON.stringify(entry.dns_names),
            entry.hint,
            entry.revision_number,
            entry.created_at,
          );
        }
      });
    },
    authorities: () => db.prepare('SELECT * FROM authorities').all().map(toAuthority),
    writeAuthorities: (rows) => {
      transaction(() => {
        db.exec('DELETE FROM authorities');
        for (const row of rows) {
          insertAuthority.run(row.id, row.state, row.certificate, row.sealedKey);
        }
      });
    },
    recordIssuances: (issuances) => {
      let next = head;
      transaction(() => {
        for (const issuance of issuances) {
          const row = chain(next, issuance);
          insertLog.run(row.seq, row.previous, row.body, row.hash);
          insertOutbox.run(row.seq);
          next = row;
        }
      });
      head = { seq: next.seq, hash: next.hash };
    },
    log: () => all(db),
    pending: (limit) => pending.all(limit).map(toLogRow),
    acknowledge: (upTo) => {
      db.prepare('DELETE FROM outbox WHERE seq <= ?').run(upTo);
    },
    close: () => db.close(),
  };
}

function all(db: DatabaseSync): LogRow[] {
  return db.prepare('SELECT * FROM issuances ORDER BY seq').all().map(toLogRow);
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
