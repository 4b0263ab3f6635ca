import { launcherSelectors } from './launcher.ts';

/** The attestors that exist, by SPIRE's plugin notation; selectors of type `unix` and `swarm`. */
export const ATTESTORS = {
  /** Processes that this swarm's launcher started; see `createLauncherAttestor`. */
  launcher: launcherSelectors,
} as const;
