/** The witnesses of a swarm, each a process of its own. */
export const WITNESS_NAMES = ['witness-1', 'witness-2', 'witness-3'] as const;
export type WitnessName = (typeof WITNESS_NAMES)[number];

/** So many of them must cosign: one may fail or lie, and neither stops the log nor rewrites it. */
export const WITNESS_QUORUM = 2;

/** Is it the name of a witness's process? Witnesses have keys of their own, and no SVID. */
export function isWitness(name: string): name is WitnessName {
  return (WITNESS_NAMES as readonly string[]).includes(name);
}
