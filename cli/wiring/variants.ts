import { CONTROLS, type Control } from './controls.ts';

/** One module of the wiring with another in its place; both as paths from the checkout. */
export interface Exchange {
  /** Part of a folder's name. */
  readonly id: string;
  readonly module: string;
  readonly by: string;
}

/** A wiring by what it exchanges, and where its images are cached. */
export interface Variant {
  /** Name of the folder for images with these exchanges, of those that the variant has. */
  readonly folder: (ids: readonly string[]) => string;
  readonly exchanges: readonly Exchange[];
}

/** The swarm with these controls off. Images with the same exchanges are the same for every set. */
export function variantOff(off: readonly Control[]): Variant {
  return {
    folder: (ids) => `off-${ids.join('-')}`,
    exchanges: [...new Set(off)].sort().map((id) => {
      const { module, by } = CONTROLS[id];
      return { id, module, by };
    }),
  };
}

/** Agents and services as they are, joined by one key for all instead of identity and bus. */
export const SHARED_KEYS: Variant = {
  folder: () => 'shared-keys',
  exchanges: [
    {
      id: 'membership',
      module: 'cli/wiring/membership.ts',
      by: 'cli/wiring/shared-keys/membership.ts',
    },
    {
      id: 'policy',
      module: 'cli/wiring/service-policy.ts',
      by: 'cli/wiring/off/service-policy.ts',
    },
  ],
};
