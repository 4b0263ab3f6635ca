import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { VerifiedSvid } from '#identity/svid.ts';
import { thumbprintOf } from '#identity/x509/verify.ts';
import type { RecordCode } from './codes.ts';
import { SKEW_SECONDS } from './record/check.ts';

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
  forget(thumbprint: string): void;
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
    forget: (thumbprint) => known.delete(thumbprint),
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
      const verified = verifyWithSkew(verify, chain, at);
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

/** The same tolerance for a chain seen first as `checkSvidTime` gives to a remembered one. */
function verifyWithSkew(verify: VerifyChain, chain: readonly Uint8Array[], at: Date) {
  const verified = verify(chain, at);
  if (verified.ok) return verified;
  const skew = SKEW_SECONDS * 1000;
  if (verified.code === 'SVID_EXPIRED') return verify(chain, new Date(at.getTime() - skew));
  if (verified.code === 'SVID_NOT_YET_VALID') return verify(chain, new Date(at.getTime() + skew));
  return verified;
}
