import type { GateOptions } from '#bus/gate/gate.ts';
import type { Policy } from '#policy/decision.ts';

/** What the gates hand on to the broker: what the policy grants an identity, and no more. */
export function grantsOf(
  policy: Pick<Policy, 'permissions'>,
): Pick<GateOptions, 'permissions' | 'malformed'> {
  return { permissions: (id) => policy.permissions(id) };
}
