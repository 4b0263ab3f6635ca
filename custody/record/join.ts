import type { RecordId, SignedRecord } from '../record.ts';
import { MAX_PARENTS } from './claims.ts';

/**
 * Brings any number of causes down to what one record may name. `sign` makes a `join` record from
 * at most 16 ids; the joins are to be submitted to the ledger in the order given.
 */
export function joinCauses(
  causes: readonly RecordId[],
  sign: (par: readonly RecordId[]) => SignedRecord,
): { readonly par: readonly RecordId[]; readonly joins: readonly SignedRecord[] } {
  const joins: SignedRecord[] = [];
  let par = [...new Set(causes)];
  while (par.length > MAX_PARENTS) {
    const level: RecordId[] = [];
    for (let from = 0; from < par.length; from += MAX_PARENTS) {
      const group = par.slice(from, from + MAX_PARENTS);
      const [only] = group;
      if (group.length === 1 && only !== undefined) {
        level.push(only);
        continue;
      }
      const join = sign(group);
      joins.push(join);
      level.push(join.id);
    }
    par = level;
  }
  return { par, joins };
}
