import { parseVerifierKey, type VerifierKey } from '#custody/log/keys.ts';
import { createStandingBook, type StandingBook } from '#custody/log/standing.ts';
import type { StartMessage } from '#runtime/process-protocol.ts';
import type { ProcessContext } from './process.ts';

/** What a process knows about which certificates are stated as issued, and which as revoked. */
export type Standing = Pick<StandingBook, 'judge' | 'watch'>;

/** Who states issuances. @throws Error when the start message pins nobody: then nothing can be judged. */
export function attesterOf(start: StartMessage): VerifierKey {
  const attester = parseVerifierKey(start.custody?.attester ?? '');
  if (!attester.ok) throw new Error(`start message pins no attester: ${attester.detail}`);
  return attester.value;
}

/**
 * The statements that the launcher hands to this process, each verified by the attester's key that its
 * start message pins. @throws Error as `attesterOf`
 */
export function standingOf({
  start,
  onStanding,
}: Pick<ProcessContext, 'start' | 'onStanding'>): Standing {
  const book = createStandingBook({ attesters: [attesterOf(start)], clock: Date.now });
  onStanding((notes) => {
    const strange = book.add(notes);
    if (strange > 0) process.stderr.write(`${strange} statements are not by the attester\n`);
  });
  return book;
}
