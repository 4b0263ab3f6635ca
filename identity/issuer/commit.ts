import type { Issuance } from './log.ts';

/**
 * One transaction, and one wait for the disk, for all issuances of one turn of the event loop: a
 * new authority makes the whole swarm's SVIDs due at once. The promise resolves when the issuance
 * is on disk, and rejects when it could not be written; nothing is handed out before.
 */
export type Commit = (issuance: Issuance) => Promise<void>;

export function groupCommit(write: (issuances: readonly Issuance[]) => void): Commit {
  let queue: Issuance[] = [];
  let turn: Promise<void> | undefined;
  return (issuance) => {
    queue.push(issuance);
    turn ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      const batch = queue;
      queue = [];
      turn = undefined;
      write(batch);
    });
    // Whoever waits sees the failure; nobody waiting must not end the process.
    turn.catch(() => {});
    return turn;
  };
}

/** Half of a life from the issue time, ± 10 %, in milliseconds since the epoch. */
export function renewal(issuedAt: Date, notAfter: Date, random: Uint8Array): number {
  const issued = issuedAt.getTime();
  const jitter = (((random[0] ?? 0) * 256 + (random[1] ?? 0)) / 65_535) * 0.2 - 0.1;
  return issued + ((notAfter.getTime() - issued) / 2) * (1 + jitter);
}
