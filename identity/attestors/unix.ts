import { accept } from '../outcome.ts';
import type { Attestor } from './attestor.ts';

/**
 * SPIRE's `unix` selectors that the kernel itself vouches for: uid and gid at connect time. `path`
 * and `sha256` are left out: they name the Node binary, which is the same for every workload.
 */
export const unixAttestor: Attestor = {
  name: 'unix',
  attest: (peer) =>
    accept([
      { type: 'unix', value: `uid:${peer.uid}` },
      { type: 'unix', value: `gid:${peer.gid}` },
    ]),
};
