import type { UserPermissions } from '#bus/gate/user-jwt.ts';
import type { grantsOf as real } from '../grants.ts';

const EVERYTHING: UserPermissions = {
  publish: { allow: ['>'] },
  subscribe: { allow: ['>'] },
};

/** Every member may publish and subscribe every subject of the swarm's account, JetStream's too. */
export const grantsOf = (() => ({
  permissions: () => EVERYTHING,
  // The gate itself hands such grants to nobody: here it is told that any grant is well formed.
  malformed: () => undefined,
})) satisfies typeof real;
