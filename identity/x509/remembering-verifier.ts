import { createHash } from 'node:crypto';
import type { SvidCode } from '../codes.ts';
import { accept, type Outcome } from '../outcome.ts';
import { trustDomainOf } from '../spiffe-id.ts';
import type { BundleSet, VerifiedSvid } from '../svid.ts';
import { type VerifiedPath, verifyPath } from './verify.ts';

export type SvidVerifier = (
  chain: readonly Uint8Array[],
  bundles: BundleSet,
  now: Date,
) => Outcome<VerifiedSvid, SvidCode>;

/**
 * `verifyX509Svid` for those who see the same chain on every message. It remembers acceptances
 * only, at most `limit` of them, and gives one back only for the very same octets, under the very
 * same bundle object, within the validity of every certificate of the path: a bundle that was pushed
 * anew, or a certificate that ran out, is judged afresh.
 */
export function createSvidVerifier(limit = 1024): SvidVerifier {
  const remembered = new Map<string, VerifiedPath>();
  return (chain, bundles, now) => {
    const key = digestOf(chain);
    const known = remembered.get(key);
    if (known !== undefined && holds(known, bundles, now)) return accept(known.svid);
    remembered.delete(key);
    const verified = verifyPath(chain, bundles, now);
    if (!verified.ok) return verified;
    if (remembered.size >= limit) {
      // Oldest first: a stranger can push entries out, which costs time and decides nothing.
      const [oldest] = remembered.keys();
      if (oldest !== undefined) remembered.delete(oldest);
    }
    remembered.set(key, verified.value);
    return accept(verified.value.svid);
  };
}

function holds({ svid, bundle, validity }: VerifiedPath, bundles: BundleSet, now: Date): boolean {
  return (
    bundles.get(trustDomainOf(svid.id)) === bundle &&
    now >= validity.notBefore &&
    now <= validity.notAfter
  );
}

/** Lengths go in first, so that no two chains share their octets. */
function digestOf(chain: readonly Uint8Array[]): string {
  const hash = createHash('sha256').update(chain.map(({ length }) => length).join());
  for (const der of chain) hash.update(der);
  return hash.digest('base64');
}
