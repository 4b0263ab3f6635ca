import { DatabaseSync } from 'node:sqlite';
import { getLoadablePath } from 'sqlite-vec';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';

export interface Point {
  readonly id: string;
  readonly text: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly vector: Float32Array;
}

/** Where a row comes from: who wrote it, by which custody record; seeds have no record. */
export interface Provenance {
  readonly writtenBy: SpiffeId;
  readonly record: string | undefined;
  /** Seconds since the epoch. */
  readonly writtenAt: number;
}

export interface Hit {
  readonly id: string;
  readonly text: string;
  readonly metadata: unknown;
  /** Cosine similarity, −1 to 1. */
  readonly score: number;
  readonly written_by: string;
  readonly record: string | null;
  readonly written_at: number;
}

export interface VectorStore {
  has(collection: string): boolean;
  count(collection: string): number;
  query(
    collection: string,
    vector: Float32Array,
    k: number,
  ): Outcome<readonly Hit[], 'DIMENSION_MISMATCH'>;
  /** Writes all points or none. A point whose id exists is replaced, with its provenance. */
  upsert(
    collection: string,
    points: readonly Point[],
    from: Provenance,
  ): Outcome<number, 'DIMENSION_MISMATCH'>;
  close(): void;
}

export interface VectorStoreOptions {
  /** A file, or `:memory:`. */
  readonly path: string;
  readonly collections: readonly string[];
  readonly dimension: number;
  /** The sqlite-vec extension; a bundled process names the file that lies beside it. */
  readonly extensionPath?: string;
}

const NAME = /^[a-z0-9](?:[a-z0-9_-]{0,46}[a-z0-9])?$/;

/** @throws Error when a collection's name is not usable, or the extension or file cannot be opened. */
export function openVectorStore(options: VectorStoreOptions): VectorStore {
  for (const name of options.collections) {
    // The name becomes part of a table's name, where SQL has no parameters.
    if (!NAME.test(name)) {
      throw new Error(`vector: collection "${name}": 1 to 48 of a-z, 0-9, "-" and "_"`);
    }
  }
  const db = new DatabaseSync(options.path, { allowExtension: true });
  try {
    db.loadExtension(options.extensionPath ?? getLoadablePath());
    db.enableLoadExtension(false);
    createTables(db, options);
  } catch (error) {
    db.close();
    throw error;
  }
  const known = new Set(options.collections);
  const fits = (vector: Float32Array) => vector.length === options.dimension;
  return {
    has: (collection) => known.has(collection),
    count: (collection) => {
      const row = db
        .prepare('SELECT count(*) AS n FROM points WHERE collection = ?')
        .get(collection);
      return Number(row?.n ?? 0);
    },
    query: (collection, vector, k) => {
      if (!fits(vector)) return mismatch(options.dimension, vector.length);
      if (!known.has(collection)) return accept([]);
      const rows = db
        .prepare(
          `SELECT p.key, p.text, p.metadata, p.written_by, p.record, p.written_at, v.distance
             FROM (SELECT rowid, distance FROM "vec_${collection}" WHERE embedding MATCH ? AND k = ?) v
             JOIN points p ON p.id = v.rowid ORDER BY v.distance, p.key`,
        )
        .all(bytesOf(vector), k);
      return accept(rows.map(hitOf));
    },
    upsert: (collection, points, from) => {
      const misfit = points.find((point) => !fits(point.vector));
      if (misfit !== undefined) return mismatch(options.dimension, misfit.vector.length);
      if (!known.has(collection)) return accept(0);
      transaction(db, () => {
        for (const point of points) writePoint(db, collection, point, from);
      });
      return accept(points.length);
    },
    close: () => db.close(),
  };
}

function createTables(db: DatabaseSync, options: VectorStoreOptions): void {
  db.exec(`CREATE TABLE IF NOT EXISTS points (
    id INTEGER PRIMARY KEY, collection TEXT NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL,
    metadata TEXT NOT NULL, written_by TEXT NOT NULL, record TEXT, written_at INTEGER NOT NULL,
    UNIQUE (collection, key))`);
  for (const name of options.collections) {
    db.exec(`CREATE VIRTUAL TABLE IF NOT EXISTS "vec_${name}"
      USING vec0(embedding float[${options.dimension}] distance_metric=cosine)`);
  }
}

function writePoint(db: DatabaseSync, collection: string, point: Point, from: Provenance): void {
  const row = db
    .prepare(
      `INSERT INTO points (collection, key, text, metadata, written_by, record, written_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (collection, key) DO UPDATE SET text = excluded.text,
         metadata = excluded.metadata, written_by = excluded.written_by,
         record = excluded.record, written_at = excluded.written_at
       RETURNING id`,
    )
    .get(
      collection,
      point.id,
      point.text,
      JSON.stringify(point.metadata),
      from.writtenBy,
      from.record ?? null,
      from.writtenAt,
    );
  // sqlite-vec takes only integers as row ids, and a JavaScript number is bound as a float.
  const rowid = BigInt(Number(row?.id));
  db.prepare(`DELETE FROM "vec_${collection}" WHERE rowid = ?`).run(rowid);
  db.prepare(`INSERT INTO "vec_${collection}" (rowid, embedding) VALUES (?, ?)`).run(
    rowid,
    bytesOf(point.vector),
  );
}

function transaction(db: DatabaseSync, work: () => void): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    work();
    db.exec('COMMIT');
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}

function hitOf(row: Record<string, unknown>): Hit {
  return {
    id: String(row.key),
    text: String(row.text),
    metadata: JSON.parse(String(row.metadata)),
    score: 1 - Number(row.distance),
    written_by: String(row.written_by),
    record: row.record === null ? null : String(row.record),
    written_at: Number(row.written_at),
  };
}

function bytesOf(vector: Float32Array): Uint8Array {
  return new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
}

function mismatch(expected: number, given: number) {
  return refuse('DIMENSION_MISMATCH', `the collection has ${expected} dimensions, not ${given}`);
}
