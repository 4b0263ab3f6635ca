import type { RecordId } from '#custody/record.ts';

/** A record names at most this many causes. */
export const MAX_CAUSES = 16;

/** Replaces groups of 16 causes by one `join` record each, until at most `most` are left. */
export function joinCauses(
  causes: readonly RecordId[],
  most: number,
  join: (causes: readonly RecordId[]) => RecordId,
): readonly RecordId[] {
  let left = [...new Set(causes)];
  while (left.length > most) left = [...left.slice(MAX_CAUSES), join(left.slice(0, MAX_CAUSES))];
  return left;
}
