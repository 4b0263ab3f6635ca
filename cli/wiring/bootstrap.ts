import type { SpiffeId } from '#identity/spiffe-id.ts';
import { type PlatformName, platformMember } from '#runtime/swarm-file/resolve.ts';

const NAMES: readonly PlatformName[] = ['gate-a', 'gate-b', 'ledger', 'supervisor', 'nats'];

/**
 * Identities that are needed before there is a ledger to enter anything in. Their certificates are
 * stated by the attester like all others, and stand as soon as they are.
 */
export function bootstrapIds(trustDomain: string): readonly SpiffeId[] {
  return NAMES.map((name) => platformMember(trustDomain, name).id);
}
