import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { VerifiedSvid } from '#identity/svid.ts';
import type { RecordCode } from './codes.ts';
import { thumbprintOf } from './digest.ts';

/** `verifyX509Svid` with the bundles already given: a chain judged at one time. */
export type VerifyChain = (chain: readonly Uint8Array[], at: Date) => Outcome<VerifiedSvid>;

export interface SvidCache {
  /**
   * The verified SVID behind a thumbprint: remembered, or verified now from the chain that came
   * along. `at` is the time at which the chain must be valid.
   */
  resolve(
    thumbprint: string,
    chain: readonly Uint8Array[] | undefined,
    at: Date,
  ): Outcome<VerifiedSvid, RecordCode>;
  /** Forgets all: a bundle changed, so that a chain may have lost its root. */
  flush(): void;
}

/**
 * Verifying a chain costs ten times what a signature does, and an SVID signs many records.
 * Holds the youngest `max`; a forgotten sender sends its chain again.
 */
export function createSvidCache(options: {
  readonly verify: VerifyChain;
  readonly max?: number;
}): SvidCache {
  const { verify, max = 4096 } = options;
  const known = new Map<string, VerifiedSvid>();
  return {
    flush: () => known.clear(),
    resolve(thumbprint, chain, at) {
      const cached = known.get(thumbprint);
      if (cached !== undefined) return accept(cached);
      const leaf = chain?.[0];
      if (chain === undefined || leaf === undefined) {
        return refuse('RECORD_CHAIN_UNKNOWN', 'the certificate is not known here');
      }
      if (thumbprintOf(leaf) !== thumbprint) {
        return refuse('RECORD_CHAIN_MISMATCH', 'x5t#S256 names another certificate');
      }
      const verified = verify(chain, at);
      if (!verified.ok) {
        return refuse('RECORD_CHAIN_UNVERIFIED', `${verified.code}: ${verified.detail}`);
      }
      const oldest = known.size >= max ? known.keys().next() : undefined;
      if (oldest?.done === false) known.delete(oldest.value);
      known.set(thumbprint, verified.value);
      return verified;
    },
  };
}
