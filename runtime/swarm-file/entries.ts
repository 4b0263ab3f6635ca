import type { Member } from '#bus/directory.ts';
import type { AttestationClaims } from '#identity/issuer/launcher-link.ts';
import type { PlatformName, Swarm } from './resolve.ts';

/** An identity for which the issuer is asked, in the fields of a SPIRE registration entry. */
export interface Registration {
  readonly spiffe_id: string;
  readonly selectors: readonly { readonly type: string; readonly value: string }[];
  readonly x509_svid_ttl: number;
}

/** These get certificates from the launcher itself: no Node process of an image stands behind them. */
const MINTED: readonly PlatformName[] = ['nats', 'supervisor'];

/**
 * What the launcher says of a member's process. The swarm file reserves the role names `service`
 * and `platform`, so the type of one is never that of another.
 */
export function workloadOf(member: Member): AttestationClaims['workload'] {
  const agentType = member.kind === 'agent' ? member.role : member.kind;
  return { spiffeId: member.id, agentType, instance: member.token };
}

/** The registration entry of one member: its type, its instance, and an image that CI signed. */
export function registrationOf(member: Member, ttlSeconds: number): Registration {
  const { agentType, instance } = workloadOf(member);
  const words = [`agent_type:${agentType}`, `instance:${instance}`, 'image-signature:verified'];
  return {
    spiffe_id: member.id,
    selectors: words.map((value) => ({ type: 'swarm', value })),
    x509_svid_ttl: ttlSeconds,
  };
}

/** The full set of registration entries of a swarm. */
export function registrations(swarm: Swarm): readonly Registration[] {
  const minted = (member: Member): boolean =>
    member.kind === 'platform' && MINTED.some((name) => name === member.name);
  return swarm.members
    .filter((member) => !minted(member))
    .map((member) => registrationOf(member, swarm.svidTtlSeconds));
}
