import { createHash } from 'node:crypto';
import type { Selector } from '../issuer/entry.ts';

/** A one-time secret by which an agent on another machine proves that the operator sent it. */
export interface JoinToken {
  /** Shown once, to the operator; kept nowhere. */
  readonly token: string;
  /** hex, what is kept of it. */
  readonly digest: string;
  readonly agentId: string;
}

const DOMAIN = 'swarmproof/join-token/v1\0';
const TOKEN_BYTES = 32;
/** 32 octets, base64url without padding. */
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

/** SPIRE's default of `token generate -ttl`, in seconds, and bounds. */
export const JOIN_TOKEN_TTL = { default: 600, min: 10, max: 7 * 24 * 3600 } as const;

export function isJoinToken(text: string): boolean {
  return TOKEN.test(text);
}

/** A secret of 256 random bits needs no salt and no slow hash: there is nothing to guess. */
export function joinTokenDigest(token: string): string {
  return createHash('sha256').update(DOMAIN).update(token).digest('hex');
}

/**
 * SPIRE's agent ID has the token itself in its path. Here it has the start of the digest: an ID is
 * written to logs and entries before the token is used.
 */
export function joinTokenAgentId(trustDomain: string, digest: string): string {
  return `spiffe://${trustDomain}/spire/agent/join_token/${digest.slice(0, 32)}`;
}

/** @param random cryptographically secure */
export function createJoinToken(
  trustDomain: string,
  random: (size: number) => Uint8Array,
): JoinToken {
  const token = Buffer.from(random(TOKEN_BYTES)).toString('base64url');
  const digest = joinTokenDigest(token);
  return { token, digest, agentId: joinTokenAgentId(trustDomain, digest) };
}

/**
 * SPIRE's `join_token` node attestor: the selectors of a node are its own ID, so that an entry under
 * `/spire/server` with the selector `spiffe_id:<agent ID>` gives it another name to be a parent by.
 *
 * # Security considerations
 *
 * A token proves that its holder was given it, nothing about the machine. Whoever reads it on its
 * way can join first; then the genuine agent is refused with `TOKEN_USED`, which is how it shows. It
 * joins once, and ends after its lifetime. It is kept as a digest, so the issuer's database gives
 * nobody a token. What joined keeps its identity by renewing over mTLS with its own key; there is no
 * second proof of the machine, as with SPIRE. The agent pins the issuer by its trust bundle and the
 * SPIFFE ID `/spire/server`: bring that bundle with the token, over a way you trust.
 */
export function joinTokenSelectors(agentId: string): readonly Selector[] {
  return [{ type: 'spiffe_id', value: agentId }];
}
