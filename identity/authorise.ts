import type { SpiffeId } from './spiffe-id.ts';
import { pathOf, trustDomainOf } from './spiffe-id.ts';

/** Whom a connection is for: one SPIFFE ID, or a rule over proven IDs. */
export type ExpectedPeer = SpiffeId | ((id: SpiffeId) => boolean);

/** Any workload of one trust domain: a wide rule, for who looks closer at each request. */
export function memberOf(trustDomain: string): (id: SpiffeId) => boolean {
  return (id) => trustDomainOf(id) === trustDomain;
}

/** One of these and nobody else. */
export function oneOf(...ids: readonly SpiffeId[]): (id: SpiffeId) => boolean {
  const known = new Set(ids);
  return (id) => known.has(id);
}

/**
 * IDs whose path lies below that of `parent`, by whole segments: `spiffe://td/agent` has
 * `spiffe://td/agent/a` below it, and neither `spiffe://td/agents` nor itself.
 */
export function below(parent: SpiffeId): (id: SpiffeId) => boolean {
  return (id) =>
    trustDomainOf(id) === trustDomainOf(parent) && pathOf(id).startsWith(`${pathOf(parent)}/`);
}
