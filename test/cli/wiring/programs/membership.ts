import { joinSwarm as joined } from '#cli/wiring/membership.ts';

/** A module in the place of another that adds to it, whatever stands there in a wiring. */
export const joinSwarm: typeof joined = async (context) => {
  process.stdout.write('joined by more than one module\n');
  return joined(context);
};
