import type { VerifiedSvid } from '#identity/svid.ts';
import { checkLeaf } from '#identity/x509/leaf.ts';
import { readLink } from '#identity/x509/path.ts';
import { thumbprintOf } from '#identity/x509/verify.ts';

/**
 * What a certificate says of itself, under no root at all: by it a record can be shown to be
 * forged, never to be genuine.
 */
export function claimedSvid(leaf: Uint8Array): VerifiedSvid | undefined {
  const link = readLink(leaf);
  const id = link && checkLeaf(link.certificate);
  if (link === undefined || id?.ok !== true) return undefined;
  const { notBefore, notAfter, serial } = link.certificate;
  const thumbprint = thumbprintOf(leaf);
  return { id: id.value, leaf: link.library, notBefore, notAfter, serial, thumbprint };
}
