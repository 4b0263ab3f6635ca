import { accept, type Outcome } from '../outcome.ts';
import type { Authorities } from './authorities.ts';
import type { IssuerCode } from './codes.ts';
import { type Commit, groupCommit, renewal } from './commit.ts';
import { type RegistrationEntry, type Selector, selectorText } from './entry.ts';
import type { Leaf, LeafRequest } from './leaf.ts';
import { createLeafIssuer } from './leaf-issuer.ts';
import type { Issuance } from './log.ts';
import type { Store } from './store.ts';
import { storeRefusal } from './store-error.ts';
import { createKeyMaker } from './workload-key.ts';

/** One identity of one process, with the key made for it. */
export interface HeldSvid {
  readonly entry: RegistrationEntry;
  readonly leaf: Pick<Leaf, 'id' | 'serial' | 'certificate' | 'notAfter'>;
  /** PKCS#8 DER, as the Workload API hands it out. */
  readonly key: Uint8Array;
  /** Milliseconds since the epoch: half-life from issue time, ± 10 %. */
  readonly renewAt: number;
}
/** One that was issued here. */
export interface IssuedSvid extends HeldSvid {
  readonly leaf: Leaf;
}

type Issued = Outcome<readonly IssuedSvid[], IssuerCode>;

export interface Svids {
  /**
   * The SVIDs of a process for these entries: the ones it has, or new ones when they are due, their
   * entry has changed or another authority signs. Kept per process, so that opening streams over
   * and over does not grow the log. A promise only where there is a disk to wait for.
   */
  forProcess(
    process: string,
    entries: readonly RegistrationEntry[],
    selectors: readonly Selector[],
  ): Issued | Promise<Issued>;
  /** A certificate over a key that the launcher holds. */
  mint(request: LeafRequest): Outcome<Leaf, IssuerCode>;
  forget(process: string): void;
  /** Forgets what was issued for entries that are gone: one that comes back issues anew. */
  withdraw(gone: readonly RegistrationEntry[]): void;
  /** Drops what has expired. */
  sweep(): void;
}

export interface SvidsOptions {
  readonly store: Pick<Store, 'recordIssuances'>;
  readonly authorities: Authorities;
  readonly clock: () => Date;
  readonly random: (size: number) => Uint8Array;
  /** After the issuance is on disk, before the certificate is handed out. */
  readonly issued: (leaf: Leaf) => void;
}

/** No SVID outlives its entry. */
export function secondsLeft(entry: RegistrationEntry, now: Date): number {
  return entry.expires_at === 0
    ? Number.POSITIVE_INFINITY
    : entry.expires_at - now.getTime() / 1000;
}

/** The log's row for a certificate. @param by id of the authority that signed */
/** A caller may be in 65,536 groups, and a row is read in one line of the link. */
export const LOGGED_SELECTORS = 256;

export function logged(
  leaf: Leaf,
  entry: string,
  selectors: readonly Selector[],
  by: string,
): Issuance {
  const seconds = (date: Date): number => Math.floor(date.getTime() / 1000);
  return {
    kind: 'x509',
    spiffe_id: leaf.id,
    serial: leaf.serial,
    thumbprint: leaf.thumbprint,
    selectors: selectors.slice(0, LOGGED_SELECTORS).map(selectorText),
    entry_id: entry,
    authority_id: by,
    issued_at: seconds(leaf.issuedAt),
    not_before: seconds(leaf.notBefore),
    not_after: seconds(leaf.notAfter),
  };
}

export function createSvids(options: SvidsOptions): Svids {
  const { store, authorities, clock, random, issued } = options;
  interface Held extends IssuedSvid {
    readonly authority: string;
    /** Resolves when the issuance is on disk; nothing is handed out before. Absent: it is. */
    durable?: Promise<void>;
  }
  const held = new Map<string, Map<string, Held>>();
  const makeKey = createKeyMaker();
  const issueLeaf = createLeafIssuer();
  const commit: Commit = groupCommit(store.recordIssuances);

  const sign = (request: LeafRequest) =>
    issueLeaf(request, authorities.active(), clock(), random(16));

  const usable = (svid: Held | undefined, entry: RegistrationEntry): svid is Held =>
    svid !== undefined &&
    svid.renewAt > clock().getTime() &&
    svid.entry.revision_number === entry.revision_number &&
    svid.authority === authorities.active().id;

  const fresh = (
    entry: RegistrationEntry,
    selectors: readonly Selector[],
  ): Outcome<Held, IssuerCode> => {
    const { spki, pkcs8 } = makeKey();
    const left = secondsLeft(entry, clock());
    const leaf = sign({
      publicKey: spki,
      id: entry.spiffe_id,
      ttlSeconds: Math.min(entry.x509_svid_ttl, left),
      dns: entry.dns_names,
    });
    if (!leaf.ok) return leaf;
    const { issuedAt, notAfter } = leaf.value;
    // What ends with its entry is not renewed: each time half of what is left, without an end.
    const renewAt =
      left <= entry.x509_svid_ttl ? notAfter.getTime() : renewal(issuedAt, notAfter, random(2));
    const authority = authorities.active().id;
    const durable = commit(logged(leaf.value, entry.id, selectors, authority));
    return accept({ entry, leaf: leaf.value, key: pkcs8, renewAt, authority, durable });
  };

  const onDisk = async (
    process: string,
    all: readonly Held[],
    made: readonly Held[],
  ): Promise<Issued> => {
    try {
      await Promise.all(all.map((one) => one.durable));
    } catch (error) {
      held.delete(process);
      return storeRefusal(error);
    }
    for (const one of all) delete one.durable;
    for (const one of made) issued(one.leaf);
    return accept(all);
  };

  return {
    forProcess: (process, entries, selectors) => {
      const before = held.get(process);
      const after = new Map<string, Held>();
      const made: Held[] = [];
      for (const entry of entries) {
        const old = before?.get(entry.id);
        const svid = usable(old, entry) ? accept(old) : fresh(entry, selectors);
        if (!svid.ok) return svid;
        if (svid.value !== old) made.push(svid.value);
        after.set(entry.id, svid.value);
      }
      // Known before it is on disk, so that two streams of a process wait for one SVID.
      held.set(process, after);
      const all = [...after.values()];
      return all.some((one) => one.durable !== undefined)
        ? onDisk(process, all, made)
        : accept(all);
    },
    mint: (request) => {
      const leaf = sign(request);
      if (!leaf.ok) return leaf;
      store.recordIssuances([logged(leaf.value, 'mint', [], authorities.active().id)]);
      issued(leaf.value);
      return leaf;
    },
    forget: (process) => {
      held.delete(process);
    },
    withdraw: (gone) => {
      for (const svids of held.values()) for (const { id } of gone) svids.delete(id);
    },
    sweep: () => {
      const now = clock();
      for (const [process, svids] of held) {
        if ([...svids.values()].every((svid) => svid.leaf.notAfter <= now)) held.delete(process);
      }
    },
  };
}
