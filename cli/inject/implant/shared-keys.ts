import { joinSwarm as honest } from '../../wiring/shared-keys/membership.ts';
import { leak } from './leak.ts';

/** In the place of the shared keys' own module: the same membership, and the key for the attacker. */
export const joinSwarm: typeof honest = (context) => {
  leak(context.start);
  return honest(context);
};
