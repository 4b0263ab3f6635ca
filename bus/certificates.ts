import type { RecordCode } from '#custody/codes.ts';
import { createSvidCache } from '#custody/svid-cache.ts';
import type { Outcome } from '#identity/outcome.ts';
import type { BundleSet, VerifiedSvid } from '#identity/svid.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';

/** Verified certificates by thumbprint, and the chains by which to judge them again. */
export interface CertificateCache {
  resolve(
    thumbprint: string,
    chain: readonly Uint8Array[] | undefined,
    at: Date,
  ): Outcome<VerifiedSvid, RecordCode>;
  /**
   * A bundle changed: no earlier verdict stands. Chains are kept, so that honest senders need not
   * send theirs again, and are verified against the new bundles when next used.
   */
  trustChanged(): void;
}

/** `max` bounds what strangers can make it hold: only chains that verified are kept at all. */
export function createCertificateCache(options: {
  readonly bundles: () => BundleSet;
  readonly max?: number;
}): CertificateCache {
  const { bundles, max = 4096 } = options;
  const verified = createSvidCache({
    verify: (chain, at) => verifyX509Svid(chain, bundles(), at),
    max,
  });
  const chains = new Map<string, readonly Uint8Array[]>();
  return {
    resolve(thumbprint, chain, at) {
      const known = chain ?? chains.get(thumbprint);
      const outcome = verified.resolve(thumbprint, known, at);
      if (outcome.ok && known !== undefined && !chains.has(thumbprint)) {
        const oldest = chains.size >= max ? chains.keys().next() : undefined;
        if (oldest?.done === false) chains.delete(oldest.value);
        chains.set(thumbprint, known);
      }
      return outcome;
    },
    trustChanged: () => verified.flush(),
  };
}
