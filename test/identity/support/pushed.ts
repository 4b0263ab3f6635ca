import { createRoot, type Issued, issue, uri, type Wish } from './authority.ts';
import type { ResponseInit } from './workload-server.ts';

export const OWN = 'city.example';

/** Certificates of today, for tests whose clock is the real one. */
export const today = (): Pick<Wish, 'notBefore' | 'notAfter'> => ({
  notBefore: new Date(Date.now() - 60_000),
  notAfter: new Date(Date.now() + 3_600_000),
});

export function rootToday(trustDomain = OWN): Promise<Issued> {
  return createRoot(trustDomain, today());
}

export function leafToday(root: Issued, id: string, wish: Wish = {}): Promise<Issued> {
  return issue(root, { names: [uri(id)], ...today(), ...wish });
}

export function pkcs8(issued: Issued): Uint8Array {
  return new Uint8Array(issued.privateKey.export({ format: 'der', type: 'pkcs8' }));
}

type SvidInit = NonNullable<ResponseInit['svids']>[number];

/** One complete entry of `svids`; `change` overrides fields. */
export function svidOf(leaf: Issued, id: string, root: Issued, change: SvidInit = {}): SvidInit {
  return {
    spiffeId: id,
    x509Svid: new Uint8Array(leaf.der),
    x509SvidKey: pkcs8(leaf),
    bundle: new Uint8Array(root.der),
    ...change,
  } as SvidInit;
}
