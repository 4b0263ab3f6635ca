import { createPrivateKey, type KeyObject } from 'node:crypto';
import { bundleFromDer, splitCertificates, trustDomainOfKey } from '../bundle.ts';
import type { WorkloadCode } from '../codes.ts';
import { accept, type Outcome, type Refused, refuse } from '../outcome.ts';
import { trustDomainOf } from '../spiffe-id.ts';
import type { BundleSet, X509Bundle, X509Svid } from '../svid.ts';
import { checkLeaf } from '../x509/leaf.ts';
import { readLink } from '../x509/path.ts';
import { thumbprintOf } from '../x509/verify.ts';
import type { X509BundlesResponse, X509SVID, X509SVIDResponse } from './generated/workload_pb.ts';

/** One whole state of the caller's X.509 material. */
export interface X509Update {
  /** At least one; the first is the default identity. */
  readonly svids: readonly [X509Svid, ...X509Svid[]];
  readonly bundles: BundleSet;
  /** Foreign bundles that could not be used: those domains are untrusted until the next message. */
  readonly skipped: readonly Refused<WorkloadCode>[];
}

/** The bundles of all trust domains that the caller may trust. */
export type X509BundlesUpdate = Pick<X509Update, 'bundles' | 'skipped'>;

/**
 * Reads a message that holds bundles alone. Each trust domain's is judged by itself: one that cannot
 * be used is skipped, so that its domain is untrusted, and the others stay current.
 */
export function readX509Bundles(
  message: X509BundlesResponse,
): Outcome<X509BundlesUpdate, WorkloadCode> {
  if (Object.keys(message.bundles).length === 0) return empty('bundles');
  const bundles = new Map<string, X509Bundle>();
  const skipped = addFederated(bundles, message.bundles);
  return accept({ bundles, skipped });
}

/**
 * Turns a pushed message into material, or says why the whole message is to be discarded
 * (Workload API 4.5). Private keys become key objects, and their bytes in the message are erased,
 * whatever the outcome.
 */
export function readX509Update(
  message: X509SVIDResponse,
  trustDomain?: string,
): Outcome<X509Update, WorkloadCode> {
  const keys = message.svids.map(takeKey);
  const svids: X509Svid[] = [];
  const bundles = new Map<string, X509Bundle>();
  for (const [index, entry] of message.svids.entries()) {
    // 5.2.1: of two SVIDs with one hint the first is meant.
    if (entry.hint !== '' && svids.some(({ hint }) => hint === entry.hint)) continue;
    const svid = readSvid(entry, keys[index], trustDomain);
    if (!svid.ok) return svid;
    svids.push(svid.value);
    const domain = trustDomainOf(svid.value.id);
    const bundle = bundleFromDer(domain, entry.bundle);
    if (!bundle.ok) return bundle;
    if (!bundles.has(domain)) bundles.set(domain, bundle.value);
  }
  const [first, ...others] = svids;
  if (first === undefined) return empty('svids');
  const skipped = addFederated(bundles, message.federatedBundles);
  return accept({ svids: [first, ...others], bundles, skipped });
}

function takeKey(entry: X509SVID): KeyObject | undefined {
  const bytes = entry.x509SvidKey;
  try {
    return createPrivateKey({ key: Buffer.from(bytes), format: 'der', type: 'pkcs8' });
  } catch {
    return undefined;
  } finally {
    bytes.fill(0);
  }
}

function readSvid(
  entry: X509SVID,
  key: KeyObject | undefined,
  trustDomain: string | undefined,
): Outcome<X509Svid, WorkloadCode> {
  if (entry.spiffeId === '') return empty('spiffe_id');
  if (entry.x509Svid.length === 0) return empty('x509_svid');
  if (entry.x509SvidKey.length === 0) return empty('x509_svid_key');
  if (entry.bundle.length === 0) return empty('bundle');
  const certificates = splitCertificates(entry.x509Svid);
  const [leafDer] = certificates ?? [];
  const leaf = leafDer && readLink(leafDer);
  if (certificates === undefined || leafDer === undefined || leaf === undefined) {
    return refuse('WORKLOAD_SVID_INVALID', 'x509_svid is not a sequence of certificates');
  }
  if (key === undefined) {
    return refuse('WORKLOAD_SVID_INVALID', 'x509_svid_key is not a PKCS#8 key');
  }
  const id = checkLeaf(leaf.certificate);
  if (!id.ok) return refuse('WORKLOAD_SVID_INVALID', `${id.code}: ${id.detail}`);
  if (id.value !== entry.spiffeId) {
    return refuse('WORKLOAD_SVID_INVALID', 'spiffe_id is not the ID in the certificate');
  }
  if (trustDomain !== undefined && trustDomainOf(id.value) !== trustDomain) {
    return refuse('WORKLOAD_SVID_INVALID', `the SVID is not of trust domain ${trustDomain}`);
  }
  if (!leaf.library.checkPrivateKey(key)) {
    return refuse('WORKLOAD_SVID_INVALID', 'x509_svid_key is not the key of the certificate');
  }
  const { notBefore, notAfter, serial } = leaf.certificate;
  const thumbprint = thumbprintOf(leafDer);
  return accept({
    id: id.value,
    certificates,
    key,
    notBefore,
    notAfter,
    serial,
    thumbprint,
    hint: entry.hint,
  });
}

/** A foreign domain's bad bundle must not stop our own rotation, so it is skipped and reported. */
function addFederated(
  bundles: Map<string, X509Bundle>,
  federated: Readonly<Record<string, Uint8Array>>,
): readonly Refused<WorkloadCode>[] {
  const skipped: Refused<WorkloadCode>[] = [];
  for (const [key, der] of Object.entries(federated)) {
    const domain = trustDomainOfKey(key);
    const bundle = domain.ok ? bundleFromDer(domain.value, der) : domain;
    if (!bundle.ok) {
      skipped.push(bundle);
    } else if (bundles.has(bundle.value.trustDomain)) {
      skipped.push(refuse('BUNDLE_TRUST_DOMAIN_INVALID', 'a federated bundle of our own domain'));
    } else {
      bundles.set(bundle.value.trustDomain, bundle.value);
    }
  }
  return skipped;
}

function empty(field: string): Refused<'WORKLOAD_FIELD_EMPTY'> {
  return refuse('WORKLOAD_FIELD_EMPTY', `${field} is mandatory`);
}
