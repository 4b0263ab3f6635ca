import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { BundleSet } from '#identity/svid.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';
import type { LedgerCode } from './codes.ts';
import type { EvidenceCode } from './evidence/codes.ts';
import type { NoteCode } from './log/codes.ts';
import { checkParent } from './parents.ts';
import { checkPayload, checkSignature, checkSvidTime } from './record/check.ts';
import { type ParsedRecord, parseRecord } from './record/parse.ts';
import type { RecordClaims, RecordId } from './record.ts';
import { createSvidCache, type SvidCache } from './svid-cache.ts';

/** One record with what is needed to judge it, as a ledger hands it out. */
export interface EvidenceRecord {
  /** Under which id it was found. */
  readonly id: RecordId;
  readonly jws: string;
  readonly salt: Uint8Array;
  /** Absent: withheld. */
  readonly payload?: Uint8Array;
  /** DER, leaf first; empty when it is not at hand. */
  readonly chain: readonly Uint8Array[];
  /** When the ledger took it, milliseconds; absent when the record comes from elsewhere. */
  readonly at?: number;
}

/**
 * `genuine`: proven. `withheld`: proven, but its payload is not shown. `forged`: proven wrong.
 * `unverifiable`: something is missing; `reason` says what.
 */
export type HopVerdict = 'genuine' | 'forged' | 'unverifiable' | 'withheld';

export interface Hop {
  readonly id: RecordId;
  readonly verdict: HopVerdict;
  /** Why it is forged or unverifiable, one line; absent otherwise. */
  readonly reason?: string;
  readonly code?: LedgerCode | EvidenceCode | NoteCode;
  /** What it says; absent when it cannot be read. Believe it only with a good verdict. */
  readonly claims?: RecordClaims;
  /** In an evidence file: when witnesses first saw the ledger that holds it, seconds. */
  readonly witnessed?: number;
}

/** An action and all that led to it. */
export interface Ancestry {
  readonly root: RecordId;
  /** The root first, then breadth first; every record once. `claims.par` are the edges. */
  readonly hops: readonly Hop[];
  /** True when every hop is genuine or withheld. */
  readonly proven: boolean;
  /** The first hop that is neither. */
  readonly firstBad?: Hop;
}

export interface AncestryTrust {
  /** The roots, per trust domain, pinned by the reader; never taken from the evidence. */
  readonly bundles: BundleSet;
  /** When given, a record by anybody else is not verifiable as the swarm's. */
  readonly members?: readonly SpiffeId[];
  /** Whose ancestry; by default the first record's. */
  readonly root?: RecordId;
}

/** A key may have been stolen after its SVID ended; who records later than this proves nothing. */
const LATEST_AFTER_END_MS = 10_000;

/** Judges an ancestry offline, each record at its own `iat`: it needs no network and no "now". */
export function verifyAncestry(
  records: readonly EvidenceRecord[],
  trust: AncestryTrust,
): Ancestry | undefined {
  const root = trust.root ?? records[0]?.id;
  if (root === undefined) return undefined;
  const found = new Map(records.map((record) => [record.id, record]));
  const parsed = new Map<RecordId, Outcome<ParsedRecord, LedgerCode>>();
  for (const [id, { jws }] of found) parsed.set(id, parseAs(id, jws));
  const svids = createSvidCache({
    verify: (chain, at) => verifyX509Svid(chain, trust.bundles, at),
    max: 1024,
  });
  const members = trust.members && new Set(trust.members);

  const hops: Hop[] = [];
  const queue = new Set<RecordId>([root]);
  for (const id of queue) {
    const evidence = found.get(id);
    const record = parsed.get(id);
    if (evidence === undefined || record === undefined) {
      hops.push({ id, verdict: 'unverifiable', reason: 'the record is missing' });
      continue;
    }
    if (!record.ok) {
      hops.push({ id, verdict: 'forged', code: record.code, reason: record.detail });
      continue;
    }
    const { claims } = record.value;
    for (const parent of claims.par) queue.add(parent);
    const refused = judge(evidence, record.value, svids, members) ?? judgeParents(claims, parsed);
    if (refused === undefined) {
      hops.push({ id, claims, verdict: evidence.payload ? 'genuine' : 'withheld' });
    } else {
      hops.push({ id, claims, ...refused });
    }
  }
  const firstBad = hops.find(({ verdict }) => verdict === 'forged' || verdict === 'unverifiable');
  return { root, hops, proven: firstBad === undefined, ...(firstBad && { firstBad }) };
}

/** A text that is not what its id is the hash of was exchanged. */
function parseAs(id: RecordId, jws: string): Outcome<ParsedRecord, LedgerCode> {
  const record = parseRecord(jws);
  if (!record.ok || record.value.id === id) return record;
  return refuse('RECORD_SIGNATURE_INVALID', 'the text is not the one that its id names');
}

type Fault = Pick<Hop, 'verdict' | 'reason' | 'code'>;

function judge(
  evidence: EvidenceRecord,
  record: ParsedRecord,
  svids: SvidCache,
  members: ReadonlySet<SpiffeId> | undefined,
): Fault | undefined {
  const { claims } = record;
  if (evidence.chain.length === 0) {
    return unverifiable('RECORD_CHAIN_UNKNOWN', 'the certificate is missing');
  }
  const svid = svids.resolve(record.thumbprint, evidence.chain, new Date(claims.iat * 1000));
  if (!svid.ok) {
    // Without that domain's roots nothing is proven either way.
    const unknownDomain = svid.detail.startsWith('SVID_TRUST_DOMAIN_UNKNOWN');
    return unknownDomain ? unverifiable(svid.code, svid.detail) : forged(svid);
  }
  const checks = [
    () => checkSignature(record, svid.value),
    () => checkSvidTime(svid.value, claims.iat),
    () => checkPayload(record, evidence),
  ];
  for (const check of checks) {
    const verdict = check();
    if (!verdict.ok) return forged(verdict);
  }
  if (members !== undefined && !members.has(claims.iss)) {
    return unverifiable('RECORD_ISSUER_MISMATCH', 'the sender is not a member of the swarm');
  }
  const late = (evidence.at ?? 0) - svid.value.notAfter.getTime();
  if (late > LATEST_AFTER_END_MS) {
    const seconds = Math.floor(late / 1000);
    return unverifiable('RECORD_SVID_NOT_VALID', `recorded ${seconds} s after the SVID ended`);
  }
  return undefined;
}

/** A missing cause is a hop of its own; a false one is the fault of the record that names it. */
function judgeParents(
  claims: RecordClaims,
  parsed: ReadonlyMap<RecordId, Outcome<ParsedRecord, LedgerCode>>,
): Fault | undefined {
  for (const id of claims.par) {
    const parent = parsed.get(id);
    const verdict = parent?.ok ? checkParent(claims, parent.value.claims) : accept(undefined);
    if (!verdict.ok) return forged(verdict);
  }
  return undefined;
}

function forged({ code, detail }: { readonly code: LedgerCode; readonly detail: string }): Fault {
  return { verdict: 'forged', code, reason: detail };
}

function unverifiable(code: LedgerCode, reason: string): Fault {
  return { verdict: 'unverifiable', code, reason };
}
