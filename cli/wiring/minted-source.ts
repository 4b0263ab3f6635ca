import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { bundleFromCertificates } from '#identity/bundle.ts';
import { accept, type Outcome } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { BundleSet, X509Source, X509Svid } from '#identity/svid.ts';
import { thumbprintOf } from '#identity/x509/verify.ts';
import type { IssuerLink } from '#runtime/launcher/issuer-link.ts';

export interface MintOptions {
  readonly id: SpiffeId;
  readonly ttlSeconds: number;
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
}

/**
 * An SVID over a key made here, for the two that no image stands behind: the broker and this
 * process. The issuer certifies only IDs that its start message pins.
 */
export async function mintSvid(
  issuer: IssuerLink,
  options: MintOptions,
): Promise<Outcome<X509Svid>> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const minted = await issuer.mint({
    spiffeId: options.id,
    publicKey: publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
    ttl: options.ttlSeconds,
    ...(options.dns && { dns: [...options.dns] }),
    ...(options.ip && { ip: [...options.ip] }),
  });
  if (!minted.ok) return minted;
  const [der] = minted.value.chain;
  if (der === undefined) throw new Error('issuer minted an empty chain');
  const leaf = new X509Certificate(der);
  return accept({
    id: options.id,
    certificates: minted.value.chain,
    key: privateKey,
    notBefore: leaf.validFromDate,
    notAfter: leaf.validToDate,
    serial: leaf.serialNumber.toLowerCase(),
    thumbprint: thumbprintOf(der),
    hint: '',
  });
}

export async function trustBundles(issuer: IssuerLink): Promise<Outcome<BundleSet>> {
  const bundle = await issuer.bundle();
  if (!bundle.ok) return bundle;
  const parsed = bundleFromCertificates(bundle.value.trustDomain, bundle.value.authorities);
  if (!parsed.ok) return parsed;
  return accept(new Map([[parsed.value.trustDomain, parsed.value]]));
}

/** A source over minted SVIDs: a new key and certificate at half of its life. */
export async function openMintedSource(
  issuer: IssuerLink,
  options: MintOptions,
): Promise<Outcome<X509Source>> {
  const first = await mintSvid(issuer, options);
  if (!first.ok) return first;
  const trust = await trustBundles(issuer);
  if (!trust.ok) return trust;
  let svid = first.value;
  let bundles = trust.value;
  const listeners = new Set<() => void>();
  const renew = async (): Promise<void> => {
    const [next, now] = await Promise.all([mintSvid(issuer, options), trustBundles(issuer)]);
    if (!next.ok || !now.ok) return;
    svid = next.value;
    bundles = now.value;
    for (const listener of listeners) listener();
  };
  const timer = setInterval(() => void renew(), (options.ttlSeconds * 1000) / 2);
  timer.unref();
  return accept({
    svid: () => svid,
    bundles: () => bundles,
    onUpdate: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => clearInterval(timer),
  });
}
