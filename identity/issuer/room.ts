import type { Connection } from './connections.ts';

/**
 * Which connection makes room when all are taken: of the callers without an identity the uid that holds
 * most, of that the process that holds most, of that the oldest. Where all processes share one uid this
 * still spares who holds one connection from who holds sixty; where each has its own, what one user
 * starts crowds out that user alone. `undefined`: each has an identity, and none makes room.
 * @param connections oldest first
 */
export function leastEntitled(connections: Iterable<Connection>): Connection | undefined {
  const without = [...connections].filter(({ attested }) => !attested);
  const ofUid = mostHeld(without, ({ peer }) => (peer.ok ? peer.value.uid : -1));
  return mostHeld(ofUid, ({ peer }) => (peer.ok ? peer.value.pid : 0))[0];
}

/** The largest group; of equal ones that of the oldest. */
function mostHeld(connections: Connection[], holder: (one: Connection) => number): Connection[] {
  const groups = Map.groupBy(connections, holder).values();
  return [...groups].reduce((most, group) => (group.length > most.length ? group : most), []);
}
