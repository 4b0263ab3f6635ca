import type { Directory } from '#bus/directory.ts';
import { presenter } from '#bus/door.ts';
import type { LedgerOptions } from '#custody/ledger/ledger.ts';

/** The door of every process of the swarm: see `bus/door.ts`. */
export { createDoor } from '#bus/door.ts';

/** The ledger compares the subject that a record was signed for with its signer. */
export function ownerOfSubject(directory: Directory): Pick<LedgerOptions, 'senderOf'> {
  return { senderOf: (subject) => presenter(directory, subject)?.id };
}
