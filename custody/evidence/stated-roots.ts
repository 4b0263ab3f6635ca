import { createHash, X509Certificate } from 'node:crypto';
import { decodeBase64 } from '../base64url.ts';
import type { AuthorityStatement } from '../log/statement.ts';
import type { TrustedRoot } from './trust.ts';

/** States in which an authority is none any more: it was given up before its end. */
const GIVEN_UP: ReadonlySet<string> = new Set(['tainted', 'revoked']);

/**
 * The pinned roots, and those that whoever is pinned to state issuances has stated, too: an authority
 * lives for a day, and evidence for years. They add to the trust domains of the pinned roots, and
 * never another domain.
 */
export interface StatedRoots {
  /** @returns whether the roots are others now */
  take(authority: AuthorityStatement): boolean;
  all(): readonly TrustedRoot[];
}

export function createStatedRoots(pinned: readonly TrustedRoot[]): StatedRoots {
  const domains = new Set(pinned.map(({ trustDomain }) => trustDomain));
  /** By fingerprint. */
  const stated = new Map<string, TrustedRoot>();
  const givenUp = new Set<string>();
  const ofPinned = pinned.map((root) => ({ root, fingerprint: fingerprintOf(root.certificate) }));

  return {
    take({ use, state, certificate, fingerprint }) {
      if (use !== 'x509' || givenUp.has(fingerprint)) return false;
      if (GIVEN_UP.has(state)) {
        stated.delete(fingerprint);
        givenUp.add(fingerprint);
        return true;
      }
      if (ofPinned.some((one) => one.fingerprint === fingerprint)) return false;
      const root = stated.has(fingerprint) ? undefined : rootOf(certificate);
      if (root === undefined || !domains.has(root.trustDomain)) return false;
      stated.set(fingerprint, root);
      return true;
    },
    all: () => [
      ...ofPinned.flatMap(({ root, fingerprint }) => (givenUp.has(fingerprint) ? [] : [root])),
      ...stated.values(),
    ],
  };
}

function fingerprintOf(certificate: Uint8Array): string {
  return createHash('sha256').update(certificate).digest('base64url');
}

/** The trust domain is the one that the certificate names itself. */
function rootOf(certificate: string): TrustedRoot | undefined {
  const der = decodeBase64(certificate);
  try {
    const names = der === undefined ? undefined : new X509Certificate(der).subjectAltName;
    const [, trustDomain] = /^URI:spiffe:\/\/([a-z0-9._-]{1,255})$/.exec(names ?? '') ?? [];
    return der && trustDomain !== undefined ? { trustDomain, certificate: der } : undefined;
  } catch {
    return undefined;
  }
}
