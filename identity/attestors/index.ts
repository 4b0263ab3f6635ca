import type { IssuerCode } from '../issuer/codes.ts';
import type { Selector } from '../issuer/entry.ts';
import { accept, type Outcome, type Refused } from '../outcome.ts';
import type { Attestor } from './attestor.ts';
import type { LauncherAttestor } from './launcher.ts';
import type { Peer } from './peer.ts';
import { createUnixAttestor, type UnixAttestorOptions } from './unix.ts';

/** The attestor of nodes, which come over the network and not over the socket. */
export { joinTokenSelectors } from './join-token.ts';

/** Every attestor of processes on this machine, in the order in which they are asked. */
export function attestors(parts: {
  readonly launcher: LauncherAttestor;
  readonly unix: UnixAttestorOptions;
}): readonly Attestor[] {
  return [createUnixAttestor(parts.unix), parts.launcher];
}

/** What was found of a peer, and what an attestor that does not know it said. */
export interface Attested {
  readonly selectors: readonly Selector[];
  readonly unknown?: Refused<IssuerCode>;
}

/** Lets every attestor do what takes time, once for a peer. */
export async function prepare(list: readonly Attestor[], peer: Peer): Promise<void> {
  for (const attestor of list) await attestor.prepare?.(peer);
}

/**
 * The selectors of a peer that is alive and unchanged before and after they were read. Nothing is
 * remembered of a peer: each call attests anew. A process that the launcher did not start has no
 * `swarm` selector, so no entry of a swarm file matches it, whatever its uid; one that is not what
 * the launcher started gets nothing at all.
 */
export function attest(list: readonly Attestor[], peer: Peer): Outcome<Attested, IssuerCode> {
  const alive = peer.check();
  if (!alive.ok) return alive;
  const selectors: Selector[] = [];
  let unknown: Refused<IssuerCode> | undefined;
  for (const attestor of list) {
    const found = attestor.attest(peer);
    if (found.ok) selectors.push(...found.value);
    else if (found.code === 'NOT_LAUNCHED') unknown = found;
    else return found;
  }
  const still = peer.check();
  if (!still.ok) return still;
  return accept({ selectors, ...(unknown !== undefined && { unknown }) });
}
