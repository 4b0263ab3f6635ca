import type { LogPolicy } from '#custody/log/checkpoint.ts';
import { parseVerifierKey, type VerifierKey } from '#custody/log/keys.ts';
import type { CustodyPins, StartMessage } from '#runtime/process-protocol.ts';

/** Keys that the launcher gave. @throws Error when one is none. */
export function keysOf(vkeys: readonly string[]): readonly VerifierKey[] {
  return vkeys.map((vkey) => {
    const key = parseVerifierKey(vkey);
    if (!key.ok) throw new Error(`${key.code}: ${key.detail}`);
    return key.value;
  });
}

/** What the start message pins. @throws Error when it pins nothing: then nothing can be judged. */
export function pinsOf({ custody }: StartMessage): CustodyPins {
  if (custody === undefined) throw new Error('start message pins no ledger');
  return custody;
}

/** Whom this process believes about the ledger. @throws Error as `pinsOf` */
export function logPolicyOf(start: StartMessage): LogPolicy {
  const { origin, log, witnesses, quorum } = pinsOf(start);
  return { origin, log: keysOf(log), witnesses: keysOf(witnesses), quorum };
}
