import { isWitness } from '#runtime/witness/names.ts';
import { paint } from '../output.ts';

/** What witnesses have told the supervisor, each itself. */
export interface WitnessedView {
  /** How many of them must cosign. */
  readonly quorum: number;
  /** Entries that a quorum has cosigned, and the newest time (seconds) by which it had. */
  readonly newest?: { readonly size: number; readonly time: number } | undefined;
}

/** Beyond this high-risk tools stop: what the log did since is nobody's word but its own. */
export const STALE_SECONDS = 10;

/** One line on how far the log is witnessed; in red where it is not. */
export function witnessLine(
  { quorum, newest }: WitnessedView,
  processes: readonly { readonly name: string; readonly state: string }[],
  now: Date,
): string {
  const witnesses = processes.filter(({ name }) => isWitness(name));
  const ready = witnesses.filter(({ state }) => state === 'ready').length;
  if (newest === undefined) {
    return paint(
      'yellow',
      `custody: no checkpoint cosigned yet; witnesses: ${ready} ready, ${quorum} needed`,
    );
  }
  const age = Math.max(0, Math.floor(now.getTime() / 1000) - newest.time);
  const line = `custody: ${newest.size} entries cosigned by ${quorum} witnesses ${age} s ago, ${ready} of ${witnesses.length} ready`;
  return age > STALE_SECONDS ? paint('red', line) : line;
}
