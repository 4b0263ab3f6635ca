import { X509Certificate } from 'node:crypto';
import { spiffeId, trustDomainOf } from '#identity/spiffe-id.ts';
import type { BundleSet, X509Source, X509Svid } from '#identity/svid.ts';
import { thumbprintOf } from '#identity/x509/verify.ts';
import type { Issued } from './authority.ts';

/** A source whose pushes the test makes. */
export interface PushedSource extends X509Source {
  push(svid: X509Svid | undefined, roots?: readonly [string, Issued][]): void;
}

export function svidFrom(leaf: Issued, id: string, ...behind: readonly Issued[]): X509Svid {
  const certificate = new X509Certificate(leaf.der);
  return {
    id: spiffeId(id),
    certificates: [leaf, ...behind].map(({ der }) => new Uint8Array(der)),
    key: leaf.privateKey,
    notBefore: certificate.validFromDate,
    notAfter: certificate.validToDate,
    serial: certificate.serialNumber.toLowerCase(),
    thumbprint: thumbprintOf(leaf.der),
    hint: '',
  };
}

export function bundlesFrom(roots: readonly [string, Issued][]): BundleSet {
  return new Map(
    roots.map(([trustDomain, root]) => [
      trustDomain,
      { trustDomain, authorities: [new X509Certificate(root.der)] },
    ]),
  );
}

export function pushedSource(first: X509Svid, root: Issued): PushedSource {
  let svid: X509Svid | undefined = first;
  let bundles = bundlesFrom([[trustDomainOf(first.id), root]]);
  const listeners = new Set<() => void>();
  return {
    svid() {
      if (svid === undefined) throw new Error('no X.509-SVID');
      return svid;
    },
    bundles: () => bundles,
    onUpdate(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => listeners.clear(),
    push(next, roots) {
      svid = next;
      if (roots !== undefined) bundles = bundlesFrom(roots);
      for (const listener of listeners) listener();
    },
  };
}
