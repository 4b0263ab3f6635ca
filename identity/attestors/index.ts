import type { IssuerCode } from '../issuer/codes.ts';
import type { Selector } from '../issuer/entry.ts';
import { accept, type Outcome } from '../outcome.ts';
import type { Attestor } from './attestor.ts';
import type { LauncherAttestor } from './launcher.ts';
import type { Peer } from './peer.ts';
import { unixAttestor } from './unix.ts';

/** Every attestor there is, in the order in which they are asked. */
export function attestors(parts: { readonly launcher: LauncherAttestor }): readonly Attestor[] {
  return [unixAttestor, parts.launcher];
}

/**
 * The selectors of a peer that is alive and unchanged at this moment. Nothing is remembered of a
 * peer: each call attests anew. All attestors must agree, so that a process that the launcher did
 * not start gets nothing, whatever its uid.
 */
export function attest(
  list: readonly Attestor[],
  peer: Peer,
): Outcome<readonly Selector[], IssuerCode> {
  const alive = peer.check();
  if (!alive.ok) return alive;
  const selectors: Selector[] = [];
  for (const attestor of list) {
    const found = attestor.attest(peer);
    if (!found.ok) return found;
    selectors.push(...found.value);
  }
  return accept(selectors);
}
