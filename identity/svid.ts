import type { KeyObject, X509Certificate } from 'node:crypto';
import type { SpiffeId } from './spiffe-id.ts';

/** An X.509-SVID with its private key, as handed out by the Workload API. */
export interface X509Svid {
  readonly id: SpiffeId;
  /** DER, leaf first, then intermediates; the root is not in it. */
  readonly certificates: readonly Uint8Array[];
  /** P-256 private key; it leaves this process in no form. */
  readonly key: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Serial number of the leaf, lower-case hex. */
  readonly serial: string;
  /** base64url(SHA-256(leaf DER)), as in the JOSE header `x5t#S256`. */
  readonly thumbprint: string;
  readonly hint: string;
}

/** The X.509 authorities of exactly one trust domain. Bundles of two domains are never merged. */
export interface X509Bundle {
  readonly trustDomain: string;
  readonly authorities: readonly X509Certificate[];
}

/** Trust domain name → its bundle. A domain without a bundle is not trusted (Workload API 4.6). */
export type BundleSet = ReadonlyMap<string, X509Bundle>;

/** A chain that has passed every X.509-SVID rule against its own trust domain's bundle. */
export interface VerifiedSvid {
  readonly id: SpiffeId;
  readonly leaf: X509Certificate;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly serial: string;
  readonly thumbprint: string;
}

/** A live view of the caller's X.509 material; `current` is replaced as a whole on each push. */
export interface X509Source {
  /**
   * The SVID with this hint, else the default one (the first pushed). Throws when the identity was
   * taken away.
   */
  svid(hint?: string): X509Svid;
  bundles(): BundleSet;
  /** Calls back after each change. Returns the function that stops it. */
  onUpdate(listener: () => void): () => void;
  close(): void;
}
