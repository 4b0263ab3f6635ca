import type { SpiffeId } from '#identity/spiffe-id.ts';

/**
 * One identity of the swarm. `token` is its name on the bus: a bijection with the SPIFFE ID,
 * fixed by the swarm's data, so that a subject names exactly one sender.
 */
export interface Member {
  readonly id: SpiffeId;
  readonly token: string;
  readonly kind: 'agent' | 'service' | 'platform';
  /** Role of an agent; name of a service or platform process. */
  readonly role: string;
  /** Agents only. */
  readonly district?: string;
  readonly name: string;
}

export interface Directory {
  readonly members: readonly Member[];
  byToken(token: string): Member | undefined;
  byId(id: SpiffeId): Member | undefined;
}

/** @throws Error when two members share a token or an ID: the swarm file is refused before this. */
export function createDirectory(members: readonly Member[]): Directory {
  const tokens = new Map(members.map((member) => [member.token, member]));
  const ids = new Map(members.map((member) => [member.id, member]));
  if (tokens.size !== members.length || ids.size !== members.length) {
    throw new Error('directory: a token or a SPIFFE ID appears twice');
  }
  return {
    members,
    byToken: (token) => tokens.get(token),
    byId: (id) => ids.get(id),
  };
}
