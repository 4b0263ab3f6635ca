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

interface Known {
  readonly svid: VerifiedSvid;
  readonly chain: readonly Uint8Array[];
  /** Milliseconds: from when until when the whole chain is known to hold. */
  from: number;
  until: number;
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
  const known = new Map<string, Known>();
  return {
    flush: () => known.clear(),
    forget: (thumbprint) => known.delete(thumbprint),
    resolve(thumbprint, chain, at) {
      const cached = known.get(thumbprint);
      if (cached !== undefined) return resolveKnown(verify, cached, at);
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
      const svid = verified.value;
      const time = within(svid, at);
      const oldest = known.size >= max ? known.keys().next() : undefined;
      if (oldest?.done === false) known.delete(oldest.value);
      known.set(thumbprint, { svid, chain, from: time, until: time });
      return verified;
    },
  };
}

/**
 * Whether the leaf is valid then, the caller asks (`checkSvidTime`); those who signed it may have
 * ended before. They seldom do: asked once about the leaf's end, they stand for the rest of its life.
 */
function resolveKnown(
  verify: VerifyChain,
  one: Known,
  at: Date,
): Outcome<VerifiedSvid, RecordCode> {
  const { svid, chain } = one;
  const time = within(svid, at);
  // Each is valid without a break: what holds at two times holds in between.
  const holds = (moment: number): boolean => one.from <= moment && moment <= one.until;
  const learn = (moment: number): Outcome<VerifiedSvid> => {
    const verified = verify(chain, new Date(moment));
    if (verified.ok) {
      one.from = Math.min(one.from, moment);
      one.until = Math.max(one.until, moment);
    }
    return verified;
  };
  if (holds(time)) return accept(svid);
  learn((time < one.from ? svid.notBefore : svid.notAfter).getTime());
  const verified = holds(time) ? accept(svid) : learn(time);
  if (verified.ok) return accept(svid);
  return refuse('RECORD_CHAIN_UNVERIFIED', `${verified.code}: ${verified.detail}`);
}

/** That time, or the end of the leaf's life that is nearest to it; milliseconds. */
function within({ notBefore, notAfter }: VerifiedSvid, at: Date): number {
  return Math.min(Math.max(at.getTime(), notBefore.getTime()), notAfter.getTime());
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
