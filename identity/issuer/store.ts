import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { IssuerCode } from './codes.ts';
import { chain, type Issuance, type LogHead, type LogRow, verifyLog } from './log.ts';
import { AUTHORITY_SCHEMA, type AuthorityStore, openAuthorityStore } from './store-authorities.ts';
import { ENTRY_SCHEMA, type EntryStore, openEntryStore } from './store-entries.ts';
import { NODE_SCHEMA, type NodeStore, openNodeStore } from './store-nodes.ts';

export type { AuthorityRow, AuthorityState, JwtAuthorityRow } from './store-authorities.ts';
export type { EntryOrigin, StoredEntry } from './store-entries.ts';
export type { JoinTokenRow, NodeRow } from './store-nodes.ts';

/** The issuer's memory. Each method is one transaction, on disk when it returns. */
export interface Store extends EntryStore, AuthorityStore, NodeStore {
  /** Appends to the log and to the outbox, all or nothing, before a certificate is handed out. */
  recordIssuances(issuances: readonly Issuance[]): void;
  /**
   * As `recordIssuances`, in one transaction with `work`; nothing is written when that says no.
   * @returns what `work` said
   */
  recordWith(issuances: readonly Issuance[], work: () => boolean): boolean;
  log(): readonly LogRow[];
  /** Rows from `seq` on, oldest first. */
  logFrom(seq: number, limit: number): readonly LogRow[];
  head(): LogHead;
  /** Rows that the ledger has not acknowledged yet, oldest first, after row `after` if given. */
  pending(limit: number, after?: number): readonly LogRow[];
  acknowledge(upTo: number): void;
  close(): void;
}

// STRICT: a column holds what it says. The outbox is a row of its own, so that delivery never
// touches the log.
const LOG_SCHEMA = `
CREATE TABLE IF NOT EXISTS issuances (
  seq INTEGER PRIMARY KEY, previous TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS outbox (seq INTEGER PRIMARY KEY REFERENCES issuances (seq)) STRICT;
`;
const EVERY_ROW = 'SELECT * FROM issuances ORDER BY seq';

function toLogRow(row: Record<string, SQLOutputValue>): LogRow {
  const { previous, body, hash } = row;
  return {
    seq: Number(row.seq),
    previous: String(previous),
    body: String(body),
    hash: String(hash),
  };
}

function* logRows(db: DatabaseSync): Generator<LogRow> {
  for (const row of db.prepare(EVERY_ROW).iterate()) yield toLogRow(row);
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
  db.exec(LOG_SCHEMA + ENTRY_SCHEMA + AUTHORITY_SCHEMA + NODE_SCHEMA);
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
  const verified = verifyLog(logRows(db));
  if (!verified.ok) {
    db.close();
    return verified;
  }
  return accept(wrap(db, verified.value));
}

function wrap(db: DatabaseSync, start: LogHead): Store {
  let head = start;
  const attempt = (work: () => boolean): boolean => {
    db.exec('BEGIN IMMEDIATE');
    try {
      const done = work();
      db.exec(done ? 'COMMIT' : 'ROLLBACK');
      return done;
    } catch (error) {
      // On a full disk SQLite has rolled back by itself; a second one would hide why.
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  };
  const transaction = (work: () => void): void => {
    attempt(() => {
      work();
      return true;
    });
  };
  const insertLog = db.prepare('INSERT INTO issuances VALUES (?, ?, ?, ?)');
  const insertOutbox = db.prepare('INSERT INTO outbox VALUES (?)');
  const from = db.prepare('SELECT * FROM issuances WHERE seq >= ? ORDER BY seq LIMIT ?');
  const pending = db.prepare(
    'SELECT issuances.* FROM outbox JOIN issuances USING (seq) WHERE seq > ? ORDER BY seq LIMIT ?',
  );
  const recordWith = (issuances: readonly Issuance[], work: () => boolean): boolean => {
    let next = head;
    const done = attempt(() => {
      if (!work()) return false;
      for (const issuance of issuances) {
        const row = chain(next, issuance);
        insertLog.run(row.seq, row.previous, row.body, row.hash);
        insertOutbox.run(row.seq);
        next = row;
      }
      return true;
    });
    if (done) head = { seq: next.seq, hash: next.hash };
    return done;
  };

  return {
    ...openEntryStore(db, transaction),
    ...openAuthorityStore(db, transaction),
    ...openNodeStore(db),
    recordIssuances: (issuances) => {
      recordWith(issuances, () => true);
    },
    recordWith,
    log: () => [...logRows(db)],
    logFrom: (seq, limit) => from.all(seq, limit).map(toLogRow),
    head: () => head,
    pending: (limit, after = 0) => pending.all(after, limit).map(toLogRow),
    acknowledge: (upTo) => {
      db.prepare('DELETE FROM outbox WHERE seq <= ?').run(upTo);
    },
    close: () => db.close(),
  };
}
