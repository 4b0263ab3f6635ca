import { randomBytes } from 'node:crypto';
import type { servicePolicy as real } from '../service-policy.ts';

/** Every question is answered with yes, whatever the start message says; no rule is behind it. */
export const servicePolicy = (async () => ({
  revision: '',
  decide: () => ({
    id: randomBytes(16).toString('base64url'),
    allow: true,
    reasons: ['policy_is_off'],
    obligations: {},
    revision: '',
  }),
  // Gates ask for permissions, services never do; and gates have a policy of their own.
  permissions: () => undefined,
  replace: async () => {},
})) satisfies typeof real;
