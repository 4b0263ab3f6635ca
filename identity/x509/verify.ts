import { createHash } from 'node:crypto';
import type { SvidCode } from '../codes.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { trustDomainOf } from '../spiffe-id.ts';
import type { BundleSet, VerifiedSvid } from '../svid.ts';
import { checkLeaf } from './leaf.ts';
import { checkPath, type Link, readLink } from './path.ts';

/** Bounds on what a stranger can make a verifier read. A leaf with a 2,048-byte ID has under 4 KiB. */
const MAX_CHAIN = 8;
const MAX_CERTIFICATE_BYTES = 16_384;

/**
 * Verifies an X.509-SVID chain (DER, leaf first) against the bundle of the SVID's own trust domain
 * and no other (X509-SVID 5, Workload API 4.6). Never throws on any bytes. What it does not say:
 * whether the peer holds the private key. That is for TLS, or for the signature on a record.
 */
export function verifyX509Svid(
  chain: readonly Uint8Array[],
  bundles: BundleSet,
  now: Date,
): Outcome<VerifiedSvid, SvidCode> {
  if (chain.length === 0) return refuse('SVID_CHAIN_EMPTY', 'the chain is empty');
  if (chain.length > MAX_CHAIN || chain.some((der) => der.length > MAX_CERTIFICATE_BYTES)) {
    return refuse('SVID_CHAIN_TOO_LONG', `at most ${MAX_CHAIN} certificates of 16 KiB are read`);
  }
  const links: Link[] = [];
  for (const [index, der] of chain.entries()) {
    const link = readLink(der);
    if (link === undefined) return refuse('SVID_MALFORMED', `certificate ${index} is malformed`);
    links.push(link);
  }
  const [leaf] = links;
  if (leaf === undefined) return refuse('SVID_CHAIN_EMPTY', 'the chain is empty');

  const id = checkLeaf(leaf.certificate);
  if (!id.ok) return id;
  const bundle = bundles.get(trustDomainOf(id.value));
  if (bundle === undefined || bundle.trustDomain !== trustDomainOf(id.value)) {
    return refuse('SVID_TRUST_DOMAIN_UNKNOWN', `no bundle for ${trustDomainOf(id.value)}`);
  }
  const { raw, serial, notBefore, notAfter } = leaf.certificate;
  // Asked so that a time which is none proves nothing.
  if (!(now >= notBefore)) {
    return refuse('SVID_NOT_YET_VALID', `valid from ${notBefore.toISOString()}`);
  }
  if (!(now <= notAfter)) return refuse('SVID_EXPIRED', `expired at ${notAfter.toISOString()}`);
  const refused = checkPath(links, bundle, now);
  if (refused !== undefined) return refused;
  const thumbprint = thumbprintOf(raw);
  return accept({ id: id.value, leaf: leaf.library, notBefore, notAfter, serial, thumbprint });
}

/** base64url(SHA-256(leaf DER)): the JOSE header `x5t#S256`. */
export function thumbprintOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('base64url');
}
