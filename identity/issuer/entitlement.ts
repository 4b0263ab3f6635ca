import type { Peer } from '../attestors/peer.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { SpiffeId } from '../spiffe-id.ts';
import type { Authorities } from './authorities.ts';
import type { IssuerCode } from './codes.ts';
import { matchEntries, type RegistrationEntry, type Selector } from './entry.ts';
import type { Svids } from './svids.ts';

/** What one push of FetchX509SVID carries. */
export interface Material {
  readonly svids: readonly {
    readonly id: SpiffeId;
    readonly serial: string;
    /** DER chain, leaf first; the authorities are roots, so it is the leaf alone. */
    readonly chain: Uint8Array;
    /** PKCS#8 DER. */
    readonly key: Uint8Array;
    readonly hint: string;
  }[];
  readonly bundle: readonly Uint8Array[];
  /** Milliseconds since the epoch. */
  readonly renewAt: number;
}

/** What a peer is entitled to right now. Every call attests anew (Workload API, appendix A). */
export interface Entitlement {
  material(peer: Peer): Promise<Outcome<Material, IssuerCode>>;
  /** For callers that only verify; needs an identity all the same. */
  bundle(peer: Peer): Outcome<readonly Uint8Array[], IssuerCode>;
}

export interface EntitlementOptions {
  /** Attests anew at each call. */
  readonly attest: (peer: Peer) => Outcome<readonly Selector[], IssuerCode>;
  readonly entries: () => readonly RegistrationEntry[];
  readonly authorities: Authorities;
  readonly svids: Svids;
}

/** PID and start time: one process, never a later one with its PID. */
export function processKey(process: { readonly pid: number; readonly startTime: number }): string {
  return `${process.pid}:${process.startTime}`;
}

export function createEntitlement(options: EntitlementOptions): Entitlement {
  const { attest, entries, authorities, svids } = options;

  const match = (
    peer: Peer,
  ): Outcome<{ entries: readonly RegistrationEntry[]; have: readonly Selector[] }, IssuerCode> => {
    const have = attest(peer);
    if (!have.ok) return have;
    const matching = matchEntries(entries(), have.value);
    return matching.length === 0
      ? refuse('NO_ENTRY', `no registration entry for process ${peer.pid}`)
      : accept({ entries: matching, have: have.value });
  };

  const entitlement: Entitlement = {
    material: async (peer) => {
      const found = match(peer);
      if (!found.ok) return found;
      const { entries: matching, have } = found.value;
      const issued = await svids.forProcess(processKey(peer), matching, have);
      if (!issued.ok) return issued;
      // The disk took its time: what was taken away meanwhile is not handed out any more.
      const still = match(peer);
      if (!still.ok) return still;
      // never an empty set. The entries were replaced by others in that moment: once more.
      if (issued.value.length === 0) return entitlement.material(peer);
      return accept({
        svids: issued.value.map(({ leaf, key, entry }) => ({
          id: leaf.id,
          serial: leaf.serial,
          chain: leaf.certificate,
          key,
          hint: entry.hint,
        })),
        bundle: authorities.bundle(),
        renewAt: Math.min(...issued.value.map((one) => one.renewAt)),
      });
    },
    bundle: (peer) => {
      const found = match(peer);
      return found.ok ? accept(authorities.bundle()) : found;
    },
  };
  return entitlement;
}
