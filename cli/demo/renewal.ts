import type { Member } from '#bus/directory.ts';
import type { RunningSwarm } from '../wiring/swarm.ts';
import { notObserved, type Observed, observed } from './claims.ts';
import { acknowledgedOf, isReading, nextIssued, readingsOf } from './observations.ts';
import type { Screen } from './screen.ts';

/** A sensor's SVID is replaced while its readings flow, and none of them is lost. */
export async function tellRenewal(
  running: RunningSwarm,
  sensor: Member,
  screen: Screen,
  seen: Observed,
  signal: AbortSignal,
): Promise<void> {
  const { ledger } = running;
  const held = running.status().processes.find(({ spiffeId }) => spiffeId === sensor.id)?.serial;
  if (held === undefined) throw notObserved('renewal', `${sensor.name} has no SVID`);
  const issued = await observed('renewal', nextIssued(running, sensor.id, held), signal);
  const at = Date.now();
  const isNext = (entry: Parameters<typeof isReading>[0]): boolean =>
    isReading(entry) && entry.record.claims.iss === sensor.id && entry.at > at;
  // Signed under the new SVID or the old one: readings go on.
  await observed('renewal', ledger.entry(isNext, ledger.size()), signal);
  const { rows, missing } = readingsOf(running, sensor.id);
  if (missing > 0) throw notObserved('renewal', `${missing} of ${rows} readings are missing`);
  const serials = `serial ${held.slice(0, 4)} to ${issued.serial.slice(0, 4)}`;
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
