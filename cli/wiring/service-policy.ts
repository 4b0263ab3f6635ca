/** Whom a service asks before it acts: the policy that its start message carries. */
export { livePolicy as servicePolicy } from './policy.ts';
