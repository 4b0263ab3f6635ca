import { X509Certificate } from 'node:crypto';
import type { BundleCode } from './codes.ts';
import { accept, type Outcome, refuse } from './outcome.ts';
import { parseSpiffeId, pathOf, trustDomainOf } from './spiffe-id.ts';
import type { BundleSet, X509Bundle } from './svid.ts';
import { readDerList } from './x509/der.ts';
import { readLink } from './x509/path.ts';

/** Bound for certificates in one pushed field. */
const MAX_CERTIFICATES = 256;
const PEM_BLOCK = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----/g;

/** Cuts concatenated DER certificates apart (Workload API 5.2.1); `undefined` when it is not that. */
export function splitCertificates(der: Uint8Array): readonly Uint8Array[] | undefined {
  const nodes = readDerList(der, MAX_CERTIFICATES);
  return nodes?.map((node) => new Uint8Array(node.raw));
}

/**
 * The bundle of one trust domain out of concatenated DER certificates. Empty bytes make an empty
 * bundle: all authorities revoked, so that nothing of that domain is trusted (B-01).
 */
export function bundleFromDer(
  trustDomain: string,
  der: Uint8Array,
): Outcome<X509Bundle, BundleCode> {
  const certificates = splitCertificates(der);
  if (certificates === undefined) {
    return refuse('BUNDLE_MALFORMED', `bundle of ${trustDomain}: not a sequence of certificates`);
  }
  return bundleFromCertificates(trustDomain, certificates);
}

/** As `bundleFromDer`, from the `CERTIFICATE` blocks of a PEM text; at least one. */
export function bundleFromPem(trustDomain: string, pem: string): Outcome<X509Bundle, BundleCode> {
  const blocks = [...pem.matchAll(PEM_BLOCK)].map(([, body = '']) => Buffer.from(body, 'base64'));
  if (blocks.length === 0) {
    return refuse('BUNDLE_MALFORMED', `bundle of ${trustDomain}: no PEM certificate in it`);
  }
  return bundleFromCertificates(trustDomain, blocks);
}

/** As `bundleFromDer`, from certificates already apart. */
export function bundleFromCertificates(
  trustDomain: string,
  certificates: readonly Uint8Array[],
): Outcome<X509Bundle, BundleCode> {
  const authorities: X509Certificate[] = [];
  for (const [index, der] of certificates.entries()) {
    // One unreadable authority spoils the bundle: a silent gap would look like a revocation.
    const link = readLink(der);
    if (link === undefined) {
      return refuse(
        'BUNDLE_MALFORMED',
        `bundle of ${trustDomain}: certificate ${index} is malformed`,
      );
    }
    authorities.push(link.library);
  }
  return accept({ trustDomain, authorities });
}

/** The trust domain that a bundle map is keyed by: its SPIFFE ID, without a path. */
export function trustDomainOfKey(key: string): Outcome<string, BundleCode> {
  const id = parseSpiffeId(key);
  if (!id.ok || pathOf(id.value) !== '') {
    return refuse('BUNDLE_TRUST_DOMAIN_INVALID', 'a bundle is keyed by spiffe://<trust domain>');
  }
  return accept(trustDomainOf(id.value));
}

/** Whether the text is the name of a trust domain, which is not its SPIFFE ID. */
export function isTrustDomain(name: string): boolean {
  return !name.includes('/') && parseSpiffeId(`spiffe://${name}`).ok;
}

/** @throws Error when two bundles are of one trust domain: they are never merged (B-05). */
export function bundleSet(bundles: readonly X509Bundle[]): BundleSet {
  const set = new Map(bundles.map((bundle) => [bundle.trustDomain, bundle]));
  if (set.size !== bundles.length) throw new Error('two bundles of one trust domain');
  return set;
}

/** Concatenated DER, as the Workload API carries a bundle. */
export function bundleToDer(bundle: X509Bundle): Uint8Array {
  return Buffer.concat(bundle.authorities.map(({ raw }) => raw));
}

/** PEM of all authorities, for a TLS option or a file. */
export function bundleToPem(bundle: X509Bundle): string {
  return bundle.authorities.map((authority) => authority.toString()).join('');
}

/** PEM of DER certificates, in order. */
export function certificatesToPem(certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => new X509Certificate(der).toString()).join('');
}
