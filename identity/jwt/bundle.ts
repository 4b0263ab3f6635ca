import type { KeyObject } from 'node:crypto';

/**
 * The JWT authorities of exactly one trust domain, by key id. A kind of its own: an X.509 bundle does
 * not authenticate tokens, nor this one certificates (Workload API 5.2.2 and 6.2.2).
 */
export interface JwtBundle {
  readonly trustDomain: string;
  readonly keys: ReadonlyMap<string, KeyObject>;
}

/** Trust domain name → its JWT bundle. A domain without one is not trusted (Workload API 6.3). */
export type JwtBundleSet = ReadonlyMap<string, JwtBundle>;
