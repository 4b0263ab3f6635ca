import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { bundleFromPem, isTrustDomain } from '#identity/bundle.ts';
import { readBundleDocument } from '#identity/bundle-document.ts';
import type { X509Bundle } from '#identity/svid.ts';
import { must } from '../commands/options.ts';
import { UserError } from '../output.ts';

/** an authority's name is the trust domain's SPIFFE ID, which is how a bundle says whose it is. */
function trustDomainOf(certificate: X509Certificate): string | undefined {
  return /(?:^|, )URI:spiffe:\/\/([^/,]+)(?:,|$)/.exec(certificate.subjectAltName ?? '')?.[1];
}

/** The first authority of either form; `undefined` where there is none. */
function firstOf(text: string): X509Certificate | undefined {
  try {
    if (!text.trimStart().startsWith('{')) return new X509Certificate(text);
    const { keys }: { keys?: { x5c?: string[] }[] } = JSON.parse(text);
    const der = keys?.find(({ x5c }) => x5c !== undefined)?.x5c?.[0];
    return der === undefined ? undefined : new X509Certificate(Buffer.from(der, 'base64'));
  } catch {
    return undefined;
  }
}

/**
 * What `identity bundle` prints, with or without `--pem`.
 * @param trustDomain when the certificates do not say it
 * @throws UserError
 */
export function bundleOfFile(path: string, trustDomain: string | undefined): X509Bundle {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const first = firstOf(text);
  const name = trustDomain ?? (first && trustDomainOf(first));
  if (first === undefined) throw new UserError(`${path}: there is no X.509 authority in it`);
  if (name === undefined || !isTrustDomain(name)) {
    throw new UserError(`${path}: does not say whose it is; name it by --trust-domain`);
  }
  return text.trimStart().startsWith('{')
    ? must(readBundleDocument(name, Buffer.from(text))).x509
    : must(bundleFromPem(name, text));
}
