import { DatabaseSync } from 'node:sqlite';
import koffi from 'koffi';
import { load } from 'sqlite-vec';

/** Loads both native packages from wherever this file lies. */
export function versions(): Record<string, unknown> {
  const database = new DatabaseSync(':memory:', { allowExtension: true });
  load(database);
  const row = database.prepare('SELECT vec_version() AS vec').get();
  database.close();
  return { koffi: koffi.version, vec: row?.vec };
}
