import type { Attested } from '../attestors/index.ts';
import type { Peer } from '../attestors/peer.ts';
import type { JwtBundle } from '../jwt/bundle.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { SpiffeId } from '../spiffe-id.ts';
import type { Authorities } from './authorities.ts';
import type { IssuerCode } from './codes.ts';
import type { RegistrationEntry, Selector } from './entry.ts';
import type { JwtAuthorities } from './jwt-authorities.ts';
import type { Audience, IssuedJwt, JwtSvids } from './jwt-svids.ts';
import type { HeldSvid } from './svids.ts';

/** The keys of one foreign trust domain, as its bundle endpoint gave them. */
export interface FederatedBundle {
  readonly x509: readonly Uint8Array[];
  readonly jwt: JwtBundle;
}

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
  readonly federated: ReadonlyMap<string, FederatedBundle>;
  /** Milliseconds since the epoch; something is to be looked at anew then. */
  readonly again: number;
  /** What the caller was found to have. */
  readonly have: readonly Selector[];
}

/** What one push of the two bundle streams carries. */
export interface Trust {
  readonly bundle: readonly Uint8Array[];
  readonly jwt: JwtBundle;
  /** of those trust domains that the caller's entries federate with, and of no other. */
  readonly federated: ReadonlyMap<string, FederatedBundle>;
  /** Milliseconds since the epoch; infinite: only a change will tell. */
  readonly again: number;
  readonly have: readonly Selector[];
}

/** What a peer is entitled to right now. Every call attests anew (Workload API, appendix A). */
export interface Entitlement {
  material(peer: Peer): Promise<Outcome<Material, IssuerCode>>;
  /** For callers that only verify; needs an identity all the same. */
  trust(peer: Peer): Promise<Outcome<Trust, IssuerCode>>;
  /** Tokens of all identities, or of the one asked for. */
  tokens(
    peer: Peer,
    audience: Audience,
    wanted: string | undefined,
  ): Promise<Outcome<readonly IssuedJwt[], IssuerCode>>;
}

type Held = Outcome<readonly HeldSvid[], IssuerCode>;

export interface EntitlementOptions {
  /** What takes time; then `attest` at each call. */
  readonly prepare: (peer: Peer) => Promise<void>;
  readonly attest: (peer: Peer) => Outcome<Attested, IssuerCode>;
  readonly match: (selectors: readonly Selector[]) => readonly RegistrationEntry[];
  readonly authorities: Pick<Authorities, 'bundle'>;
  readonly jwtAuthorities: Pick<JwtAuthorities, 'bundle'>;
  /** At once where there is nothing to wait for. */
  readonly svids: {
    forProcess(
      process: string,
      entries: readonly RegistrationEntry[],
      selectors: readonly Selector[],
    ): Held | Promise<Held>;
  };
  readonly jwtSvids: Pick<JwtSvids, 'forProcess'>;
  readonly federated: (trustDomain: string) => FederatedBundle | undefined;
}

/** PID and start time: one process, never a later one with its PID. */
export function processKey(process: { readonly pid: number; readonly startTime: number }): string {
  return `${process.pid}:${process.startTime}`;
}

interface Matched {
  readonly entries: readonly RegistrationEntry[];
  readonly have: readonly Selector[];
}

/** When the first of these entries ends, in milliseconds. */
function firstEnd(entries: readonly RegistrationEntry[]): number {
  return Math.min(
    ...entries.map(({ expires_at: end }) => (end === 0 ? Number.POSITIVE_INFINITY : end * 1000)),
  );
}

export function createEntitlement(options: EntitlementOptions): Entitlement {
  const { authorities, jwtAuthorities, svids, jwtSvids } = options;

  const match = (peer: Peer): Outcome<Matched, IssuerCode> => {
    const attested = options.attest(peer);
    if (!attested.ok) return attested;
    const { selectors, unknown } = attested.value;
    const entries = options.match(selectors);
    if (entries.length > 0) return accept({ entries, have: selectors });
    return unknown ?? refuse('NO_ENTRY', `no registration entry for process ${peer.pid}`);
  };
  const prepared = async (peer: Peer): Promise<Outcome<Matched, IssuerCode>> => {
    await options.prepare(peer);
    return match(peer);
  };
  const federatedOf = (entries: readonly RegistrationEntry[]) => {
    const found = new Map<string, FederatedBundle>();
    for (const domain of entries.flatMap((entry) => entry.federates_with)) {
      const bundle = options.federated(domain);
      if (bundle !== undefined) found.set(domain, bundle);
    }
    return found;
  };

  const entitlement: Entitlement = {
    material: async (peer) => {
      const found = await prepared(peer);
      if (!found.ok) return found;
      const { entries, have } = found.value;
      const issuing = svids.forProcess(processKey(peer), entries, have);
      const waited = issuing instanceof Promise;
      const issued = waited ? await issuing : issuing;
      if (!issued.ok) return issued;
      // The disk took its time: what was taken away meanwhile is not handed out any more.
      const still = waited ? match(peer) : found;
      if (!still.ok) return still;
      const kept = issued.value.filter(({ entry }) => isAmong(still.value.entries, entry));
      // never an empty set. The entries were replaced by others in that moment: once more.
      if (kept.length === 0) return entitlement.material(peer);
      return accept({
        svids: kept.map(({ leaf, key, entry }) => ({
          id: leaf.id,
          serial: leaf.serial,
          chain: leaf.certificate,
          key,
          hint: entry.hint,
        })),
        bundle: authorities.bundle(),
        federated: federatedOf(still.value.entries),
        again: Math.min(firstEnd(still.value.entries), ...kept.map((one) => one.renewAt)),
        have: still.value.have,
      });
    },
    trust: async (peer) => {
      const found = await prepared(peer);
      if (!found.ok) return found;
      return accept({
        bundle: authorities.bundle(),
        jwt: jwtAuthorities.bundle(),
        federated: federatedOf(found.value.entries),
        again: firstEnd(found.value.entries),
        have: found.value.have,
      });
    },
    tokens: async (peer, audience, wanted) => {
      const found = await prepared(peer);
      if (!found.ok) return found;
      const { entries, have } = found.value;
      const asked = entries.filter((one) => wanted === undefined || one.spiffe_id === wanted);
      if (asked.length === 0) {
        return refuse('NOT_ENTITLED', `process ${peer.pid} has no identity of that SPIFFE ID`);
      }
      const issued = await jwtSvids.forProcess(processKey(peer), asked, audience, have);
      if (!issued.ok) return issued;
      const still = match(peer);
      if (!still.ok) return still;
      const kept = issued.value.filter(({ entry }) => isAmong(still.value.entries, entry));
      return kept.length === 0
        ? refuse('NOT_ENTITLED', `the identity of process ${peer.pid} was just taken away`)
        : accept(kept);
    },
  };
  return entitlement;
}

/** The same entry, and not another one that has been given its id. */
function isAmong(entries: readonly RegistrationEntry[], wanted: RegistrationEntry): boolean {
  return entries.some(
    ({ id, revision_number, spiffe_id }) =>
      id === wanted.id &&
      revision_number === wanted.revision_number &&
      spiffe_id === wanted.spiffe_id,
  );
}
