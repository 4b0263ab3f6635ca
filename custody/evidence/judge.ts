import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { VerifiedSvid } from '#identity/svid.ts';
import { thumbprintOf, verifyX509Svid } from '#identity/x509/verify.ts';
import type { Leaf } from '../ledger/leaf.ts';
import { leafText } from '../ledger/leaf.ts';
import { leafHash } from '../log/hash.ts';
import { createInclusionRun } from '../log/inclusion-run.ts';
import type { AuthorityStatement } from '../log/statement.ts';
import { createBatchCache } from '../record/batch.ts';
import { checkPayload, checkSignature, checkSvidTime, SKEW_SECONDS } from '../record/check.ts';
import type { ParsedRecord } from '../record/parse.ts';
import { createSvidCache, type SvidCache } from '../svid-cache.ts';
import type { Ahead } from './ahead.ts';
import { claimedSvid } from './claimed.ts';
import type { EvidenceEntry } from './format.ts';
import type { Heads, WitnessedHead } from './heads.ts';
import { createStatedRoots } from './stated-roots.ts';
import { bundlesAt, rootChanges, type Trust } from './trust.ts';
import { type FaultCode, verdictOf } from './verdict.ts';

/** A key may have been stolen after its SVID ended; what is witnessed later proves nothing. */
export const LATEST_AFTER_END_SECONDS = 10;

type Verdict<T = void> = Outcome<T, FaultCode>;

export interface Judge {
  /** Remembers a chain for the records that its leaf signed. */
  addChain(chain: readonly Uint8Array[]): void;
  /**
   * An authority as the pinned issuance keys stated it: from here on a root of its own trust domain,
   * where one is pinned of that; or none any more, when it was tainted or revoked.
   */
  addAuthority(authority: AuthorityStatement): void;
  /** Is the entry where it says in a witnessed tree? Proves nothing of what the entry says. */
  judgeEntry(entry: EvidenceEntry): Verdict<WitnessedHead>;
  /** Everything about one record but its causes. */
  judgeRecord(
    entry: EvidenceEntry,
    leaf: Extract<Leaf, { readonly jws: string }>,
    head: Verdict<WitnessedHead>,
  ): Judged;
}

export interface Judged {
  /** What it says, where it can be read at all. */
  readonly record?: ParsedRecord;
  readonly svid?: VerifiedSvid;
  readonly verdict: Verdict;
}

/** Chains kept at once, youngest first to stay: short-lived certificates are used and gone. */
const MAX_CHAINS = 16_384;

/** Judges entries one by one; what it keeps between them is chains and what they verified to. */
export function createJudge(trust: Trust | undefined, heads: Heads, ahead: Ahead): Judge {
  const chains = new Map<string, readonly Uint8Array[]>();
  const pinned = trust?.roots ?? [];
  const roots = createStatedRoots(pinned);
  const changes = rootChanges(pinned);
  const epochs = new Map<number, SvidCache>();
  const claims = new WeakMap<Uint8Array, VerifiedSvid>();
  const batches = createBatchCache();
  const inclusion = createInclusionRun();
  const members = trust?.members && new Set(trust.members);

  /** Verified chains, per period in which the same roots are in force. */
  function svidsAt(time: number): SvidCache {
    const epoch = changes.filter((change) => change <= time).length;
    const known = epochs.get(epoch);
    if (known !== undefined) return known;
    const bundles = bundlesAt(roots.all(), time);
    const cache = createSvidCache({ verify: (chain, at) => verifyX509Svid(chain, bundles, at) });
    epochs.set(epoch, cache);
    return cache;
  }

  function claimed({ thumbprint }: ParsedRecord): VerifiedSvid | undefined {
    const [leaf] = chains.get(thumbprint) ?? [];
    if (leaf === undefined) return undefined;
    const svid = claims.get(leaf) ?? claimedSvid(leaf);
    if (svid !== undefined) claims.set(leaf, svid);
    return svid;
  }

  function check(
    entry: EvidenceEntry,
    record: ParsedRecord,
    svid: Verdict<VerifiedSvid>,
    head: Verdict<WitnessedHead>,
  ): Verdict {
    const { claims } = record;
    const believed = svid.ok ? svid.value : claimed(record);
    const refused = [
      ...(believed === undefined
        ? []
        : [
            () => checkSignature(record, believed, batches, ahead.isProven),
            () => checkSvidTime(believed, claims.iat),
          ]),
      () => checkPayload(record, entry.opened ?? {}),
      () => checkSubmitter(entry.leaf, record),
      () => head,
    ];
    // Whom nothing is pinned for is not believed, and may contradict itself nevertheless.
    if (!svid.ok) {
      if (verdictOf(svid) === 'forged') return svid;
      return firstRefusal(...refused.map((check) => () => onlyForged(check()))) ?? svid;
    }
    const authentic = firstRefusal(...refused);
    if (authentic !== undefined) return authentic;
    if (!head.ok) return head;
    if (members !== undefined && !members.has(claims.iss)) {
      return refuse('EVIDENCE_NOT_MEMBER', 'the sender is not among the pinned members');
    }
    return checkTime(record, svid.value, head.value);
  }

  return {
    addChain(chain) {
      const [leaf] = chain;
      if (leaf === undefined) return;
      const oldest = chains.size >= MAX_CHAINS ? chains.keys().next() : undefined;
      if (oldest?.done === false) chains.delete(oldest.value);
      chains.set(thumbprintOf(leaf), chain);
    },
    addAuthority(authority) {
      // What was verified under other roots is verified anew.
      if (roots.take(authority)) epochs.clear();
    },
    judgeEntry({ leaf, size, path }) {
      const head = heads.of(size);
      const root = heads.rootOf(size);
      // Also in a head that too few stand behind: what is not even in that one is forged.
      if (root === undefined || (!head.ok && verdictOf(head) === 'forged')) return head;
      const claim = { leaf: leafHash(leafText(leaf)), index: leaf.index, size, path };
      if (inclusion.verify(claim, root)) return head;
      return refuse('EVIDENCE_NOT_IN_LEDGER', `entry ${leaf.index} is not in the witnessed ledger`);
    },
    judgeRecord(entry, leaf, head) {
      const parsed = ahead.read(leaf);
      if (!parsed.ok) return { verdict: parsed };
      const record = parsed.value;
      const { iat } = record.claims;
      if (record.id !== entry.id) {
        const detail = 'the text is not the one that its id names';
        return { record, verdict: refuse('RECORD_SIGNATURE_INVALID', detail) };
      }
      // A root that was given up must not vouch for what was witnessed after that.
      const latest = head.ok ? head.value.time - LATEST_AFTER_END_SECONDS : iat;
      const svid = svidsAt(Math.max(iat, latest)).resolve(
        record.thumbprint,
        chains.get(record.thumbprint),
        new Date(iat * 1000),
      );
      const verdict = check(entry, record, svid, head);
      return { record, verdict, ...(svid.ok && { svid: svid.value }) };
    },
  };
}

function firstRefusal(...checks: readonly (() => Verdict<unknown>)[]) {
  for (const check of checks) {
    const verdict = check();
    if (!verdict.ok) return verdict;
  }
  return undefined;
}

/** What is only missing does not count here. */
function onlyForged(verdict: Verdict<unknown>): Verdict<unknown> {
  return verdict.ok || verdictOf(verdict) === 'forged' ? verdict : accept(undefined);
}

/** The ledger lets nobody enter another's record; an entry that says so is the ledger's lie. */
function checkSubmitter(leaf: Leaf, { claims }: ParsedRecord): Verdict {
  if ('by' in leaf && leaf.by === claims.iss) return accept(undefined);
  return refuse('LEDGER_NOT_OWN_RECORD', 'the entry names another submitter than the sender');
}

/** Time is the witnesses', never "now", and never what ledger or sender say it is. */
function checkTime({ claims }: ParsedRecord, svid: VerifiedSvid, { time }: WitnessedHead): Verdict {
  if (claims.iat > time + SKEW_SECONDS) {
    return refuse('RECORD_FROM_FUTURE', 'issued after the checkpoint that holds it was witnessed');
  }
  const late = time - Math.floor(svid.notAfter.getTime() / 1000);
  if (late <= LATEST_AFTER_END_SECONDS) return accept(undefined);
  return refuse('EVIDENCE_WITNESSED_LATE', `first witnessed ${late} s after the SVID ended`);
}
