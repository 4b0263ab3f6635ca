import { parseVerifierKey } from '#custody/log/keys.ts';
import { createStandingBook, type StandingBook } from '#custody/log/standing.ts';
import type { ProcessContext } from './process.ts';

/** What a process knows about which certificates are stated as issued, and which as revoked. */
export type Standing = Pick<StandingBook, 'judge' | 'watch'>;

/**
 * The statements that the launcher hands to this process, each verified by the attester's key that its
 * start message pins. @throws Error when it pins none: without it nothing could be judged.
 */
export function standingOf({
  start,
  onStanding,
}: Pick<ProcessContext, 'start' | 'onStanding'>): Standing {
  const attester = parseVerifierKey(start.custody?.attester ?? '');
  if (!attester.ok) throw new Error(`start message pins no attester: ${attester.detail}`);
  const book = createStandingBook({ attesters: [attester.value], clock: Date.now });
  onStanding((notes) => {
    const strange = book.add(notes);
    if (strange > 0) process.stderr.write(`${strange} statements are not by the attester\n`);
  });
  return book;
}
