import { createHash } from 'node:crypto';
import { writeJwk } from '../jwk.ts';
import type { JwtBundle } from '../jwt/bundle.ts';
import type { FederatedBundle, Material, Trust } from './entitlement.ts';
import type { Selector } from './entry.ts';

/** One state of a stream: `key` changes when the message does. */
export interface Push<T> {
  readonly message: T;
  readonly key: string;
  /** Milliseconds since the epoch; when to look again although nothing was announced. */
  readonly again: number;
  /** Of the caller; says which changes concern it. */
  readonly have: readonly Selector[];
}

function digest(parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash('sha256');
  // Each part with its length: what stands in one cannot be taken for the start of the next.
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest('base64url');
}

/** trust domains are spelled as their SPIFFE IDs. */
function idOf(trustDomain: string): string {
  return `spiffe://${trustDomain}`;
}

function mapOf(
  own: readonly [string, Uint8Array][],
  federated: ReadonlyMap<string, FederatedBundle>,
  encode: (bundle: FederatedBundle) => Uint8Array,
): Record<string, Uint8Array> {
  const foreign = [...federated].map(([domain, bundle]) => [domain, encode(bundle)] as const);
  return Object.fromEntries([...own, ...foreign].map(([domain, der]) => [idOf(domain), der]));
}

const concatenated = ({ x509 }: FederatedBundle): Uint8Array => Buffer.concat(x509);

/**
 * a JWK Set (RFC 7517) with the keys that sign tokens, and no others. Without `use`, as SPIRE's
 * agent gives it: it is meant for JWT libraries as well, which pass over a use that is not `sig`.
 */
export function jwksOf({ keys }: JwtBundle): Uint8Array {
  const set = [...keys].map(([kid, key]) => ({ ...writeJwk(key), kid }));
  return Buffer.from(JSON.stringify({ keys: set }));
}

/** each SVID whole, in the order of the entries; the first is the default identity. */
export function svidPush(material: Material) {
  const bundle = Buffer.concat(material.bundle);
  const federatedBundles = mapOf([], material.federated, concatenated);
  const message = {
    svids: material.svids.map((svid) => ({
      spiffeId: svid.id,
      x509Svid: svid.chain,
      x509SvidKey: svid.key,
      bundle,
      hint: svid.hint,
    })),
    // SPIRE has no CRL either; an identity is taken away by its entry.
    crl: [],
    federatedBundles,
  };
  const svids = material.svids.flatMap(({ serial, hint }) => [serial, hint]);
  const key = digest([...svids, bundle, ...Object.entries(federatedBundles).flat()]);
  return { message, key, again: material.again, have: material.have };
}

export function x509BundlePush(trust: Trust, trustDomain: string) {
  const own: [string, Uint8Array] = [trustDomain, Buffer.concat(trust.bundle)];
  const bundles = mapOf([own], trust.federated, concatenated);
  const key = digest(Object.entries(bundles).flat());
  return { message: { crl: [], bundles }, key, again: trust.again, have: trust.have };
}

export function jwtBundlePush(trust: Trust, trustDomain: string) {
  const own: [string, Uint8Array] = [trustDomain, jwksOf(trust.jwt)];
  const bundles = mapOf([own], trust.federated, ({ jwt }) => jwksOf(jwt));
  const key = digest(Object.entries(bundles).flat());
  return { message: { bundles }, key, again: trust.again, have: trust.have };
}
