import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';

/** SPIRE's journal states. A prepared authority is published before it signs. */
export type AuthorityState = 'prepared' | 'active' | 'old';

export interface AuthorityRow {
  readonly id: string;
  readonly state: AuthorityState;
  readonly certificate: Uint8Array;
  /** PKCS#8, sealed under the id as label. */
  readonly sealedKey: Uint8Array;
}

export interface JwtAuthorityRow {
  /** The key id that tokens name. */
  readonly id: string;
  readonly state: AuthorityState;
  /** Seconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** PKCS#8, sealed under the id as label. */
  readonly sealedKey: Uint8Array;
}

/** The journal of the authorities on disk. Each method is one transaction. */
export interface AuthorityStore {
  authorities(): readonly AuthorityRow[];
  /** Replaces the journal of X.509 authorities as a whole. */
  writeAuthorities(rows: readonly AuthorityRow[]): void;
  jwtAuthorities(): readonly JwtAuthorityRow[];
  writeJwtAuthorities(rows: readonly JwtAuthorityRow[]): void;
  /** B-01: grows whenever one of the two journals, and so the bundle, changes. */
  bundleSequence(): number;
}

export const AUTHORITY_SCHEMA = `
CREATE TABLE IF NOT EXISTS authorities (
  id TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (state IN ('prepared', 'active', 'old')),
  certificate BLOB NOT NULL, sealed_key BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS one_active ON authorities (state) WHERE state = 'active';
CREATE TABLE IF NOT EXISTS jwt_authorities (
  id TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (state IN ('prepared', 'active', 'old')),
  not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, sealed_key BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS one_active_jwt ON jwt_authorities (state)
  WHERE state = 'active';
CREATE TABLE IF NOT EXISTS bundle_sequence (
  one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO bundle_sequence VALUES (1, 0);
`;

type Row = Record<string, SQLOutputValue>;

function bytes(value: SQLOutputValue | undefined): Uint8Array {
  return value instanceof Uint8Array ? value : new Uint8Array(0);
}

function stateOf(row: Row): AuthorityState {
  return row.state === 'active' || row.state === 'prepared' ? row.state : 'old';
}

export function openAuthorityStore(
  db: DatabaseSync,
  transaction: (work: () => void) => void,
): AuthorityStore {
  const insert = db.prepare('INSERT INTO authorities VALUES (?, ?, ?, ?)');
  const insertJwt = db.prepare('INSERT INTO jwt_authorities VALUES (?, ?, ?, ?, ?)');
  const write = (table: string, work: () => void): void => {
    transaction(() => {
      db.exec(`DELETE FROM ${table}`);
      work();
      db.exec('UPDATE bundle_sequence SET sequence = sequence + 1');
    });
  };
  return {
    authorities: () =>
      db
        .prepare('SELECT * FROM authorities')
        .all()
        .map((row) => ({
          id: String(row.id),
          state: stateOf(row),
          certificate: bytes(row.certificate),
          sealedKey: bytes(row.sealed_key),
        })),
    writeAuthorities: (rows) =>
      write('authorities', () => {
        for (const row of rows) insert.run(row.id, row.state, row.certificate, row.sealedKey);
      }),
    jwtAuthorities: () =>
      db
        .prepare('SELECT * FROM jwt_authorities')
        .all()
        .map((row) => ({
          id: String(row.id),
          state: stateOf(row),
          notBefore: Number(row.not_before),
          notAfter: Number(row.not_after),
          sealedKey: bytes(row.sealed_key),
        })),
    writeJwtAuthorities: (rows) =>
      write('jwt_authorities', () => {
        for (const { id, state, notBefore, notAfter, sealedKey } of rows) {
          insertJwt.run(id, state, notBefore, notAfter, sealedKey);
        }
      }),
    bundleSequence: () =>
      Number(db.prepare('SELECT sequence FROM bundle_sequence').get()?.sequence ?? 0),
  };
}
