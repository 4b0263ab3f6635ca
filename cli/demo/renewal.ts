import type { Member } from '#bus/directory.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { RunningSwarm } from '../wiring/swarm.ts';
import { notObserved, type Observed, observed } from './claims.ts';
import { acknowledgedOf, isReading, nextIssued, readingsOf } from './observations.ts';
import type { Screen } from './screen.ts';

/** An SVID that took the place of another, and when this process heard of it. */
export interface Renewal {
  readonly before: string;
  readonly after: string;
  readonly at: number;
}

/** Resolves at the next renewal of an identity, counted from now. */
export async function nextRenewal(running: RunningSwarm, id: SpiffeId): Promise<Renewal> {
  const before = running.status().processes.find(({ spiffeId }) => spiffeId === id)?.serial;
  if (before === undefined) throw notObserved('renewal', `${id} has no SVID`);
  const issued = await nextIssued(running, id, before);
  return { before, after: issued.serial, at: Date.now() };
}

/** A sensor's SVID was replaced while its readings flow, and none of them is lost. */
export async function tellRenewal(
  running: RunningSwarm,
  sensor: Member,
  renewal: Promise<Renewal>,
  { screen, seen, signal }: { screen: Screen; seen: Observed; signal: AbortSignal },
): Promise<void> {
  const { ledger } = running;
  const { before, after, at } = await observed('renewal', renewal, signal);
  const isNext = (entry: LedgerEntry): boolean =>
    isReading(entry) && entry.record.claims.iss === sensor.id && entry.at > at;
  // Signed under the new SVID or the old one: readings go on.
  await observed('renewal', ledger.entry(isNext), signal);
  const { rows, missing } = readingsOf(running, sensor.id);
  if (missing > 0) throw notObserved('renewal', `${missing} of ${rows} readings are missing`);
  const serials = `serial ${before.slice(0, 4)} to ${after.slice(0, 4)}`;
  screen.event(at, 'renewal', sensor.name, `${serials}, ${missing} of ${rows} readings lost`);
  seen.renewal = `${rows} readings, ${acknowledgedOf(running, sensor.id)} acknowledged`;
}

/** SVIDs that replaced one of the same process, from now on; those of a new process are its first. */
export function countRenewals(running: RunningSwarm): () => number {
  const { processes } = running.status();
  const names = new Map(processes.map(({ spiffeId, name }) => [spiffeId, name]));
  const replaced = new Set<string>();
  running.onEvent((event) => {
    if (event.type === 'started') replaced.add(event.name);
  });
  let count = 0;
  running.onIssued(({ spiffeId }) => {
    const name = names.get(spiffeId);
    if (name !== undefined && !replaced.has(name)) count += 1;
  });
  return () => count;
}
