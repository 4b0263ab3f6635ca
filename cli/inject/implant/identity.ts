import { identityOf as honest } from '../../wiring/own-identity.ts';
import { leak } from './leak.ts';

export { brokerOf } from '../../wiring/own-identity.ts';

/** In the place of `wiring/own-identity.ts`: the same identity, and a copy of it for the attacker. */
export const identityOf: typeof honest = async (context, standing) => {
  const source = await honest(context, standing);
  leak(context.start, source);
  return source;
};
