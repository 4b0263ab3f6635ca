import type { Outcome } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import { checkParent } from '../parents.ts';
import type { RecordClaims, RecordId } from '../record.ts';
import type { Ancestry, Hop, HopVerdict } from '../verify.ts';
import type { EvidenceEntry } from './format.ts';
import type { IssuedRecord } from './issuances.ts';
import type { Judged } from './judge.ts';
import { type Fault, type FaultCode, verdictOf } from './verdict.ts';

/** What many records of a session have in common, once in memory for all of them. */
interface Common {
  readonly iss: SpiffeId;
  readonly aud: readonly string[];
  readonly thumbprint: string;
}

/** What is kept of every record, however many there are: what its effects are compared with. */
interface Kept {
  readonly index: number;
  /** Absent where the text is another one than its id names: then it says nothing. */
  readonly common: Common | undefined;
  readonly iat: number;
  readonly withheld: boolean;
  fault: Fault | undefined;
}

/** What an action's causes are walked and shown by. */
interface Shown {
  readonly par: readonly RecordId[];
  /** Everything it says, for the first thousands. */
  readonly full: RecordClaims | undefined;
  readonly witnessed: number | undefined;
}

export interface HowKept {
  /** Whether an action's causes will be walked and shown. */
  readonly ancestry: boolean;
  /** Trusted time of the checkpoint that holds it, seconds. */
  readonly witnessed: number | undefined;
}

export interface Records {
  add(entry: EvidenceEntry, judged: Judged, how: HowKept): void;
  /** A second record under a number: it spoils the first, for nobody can say which one was meant. */
  addTwin(judged: Judged): void;
  finish(
    action: RecordId | undefined,
    issued: (record: IssuedRecord) => Outcome<void, FaultCode> | undefined,
  ): {
    readonly ancestry: Ancestry | undefined;
    readonly beyond: readonly Hop[];
    readonly counts: Record<HopVerdict, number>;
    readonly faults: readonly Fault[];
  };
}

const MAX_FULL = 10_000;

/** The records of a file and how they hang together, in any order in which causes come. */
export function createRecords(): Records {
  const kept = new Map<RecordId, Kept>();
  const details = new Map<RecordId, Shown>();
  /** A cause that has not come yet → those that name it. */
  const waiting = new Map<RecordId, RecordId[]>();
  /** `iss sid` → by sequence number, the record that had it first; numbers mostly have no holes. */
  const sequences = new Map<string, RecordId[]>();
  const faults: Fault[] = [];
  const commons = new Map<string, Common>();

  function commonOf({ iss, aud }: RecordClaims, thumbprint: string): Common {
    const key = `${thumbprint} ${iss} ${aud.join(' ')}`;
    const known = commons.get(key) ?? { iss, aud, thumbprint };
    commons.set(key, known);
    return known;
  }

  function spoil(id: RecordId, { code, detail }: Pick<Fault, 'code' | 'detail'>): void {
    const record = kept.get(id);
    if (record !== undefined) record.fault ??= { code, detail, index: record.index, id };
  }

  function claimsOf(id: RecordId): Pick<RecordClaims, 'iss' | 'aud' | 'iat'> | undefined {
    const record = kept.get(id);
    return record?.common && { ...record.common, iat: record.iat };
  }

  /** A false cause is the fault of the record that names it. */
  function checkCause(child: RecordId, parent: RecordId): void {
    const [effect, cause] = [claimsOf(child), claimsOf(parent)];
    if (effect === undefined || cause === undefined) return;
    const verdict = checkParent(effect, cause);
    if (!verdict.ok) spoil(child, verdict);
  }

  function checkSequence(id: RecordId, { iss, sid, seq }: RecordClaims): void {
    const session = `${iss} ${sid}`;
    const seen = sequences.get(session) ?? [];
    sequences.set(session, seen);
    const other = seen[seq];
    if (other === undefined) seen[seq] = id;
    else {
      const detail = `${iss} signed ${seq} twice, first in ${other}`;
      spoil(id, { code: 'LEDGER_EQUIVOCATION', detail });
    }
  }

  function add(entry: EvidenceEntry, { record, verdict }: Judged, how: HowKept): void {
    const { id, leaf } = entry;
    if (id === undefined) return;
    if (kept.has(id)) {
      const detail = `the record of entry ${leaf.index} stands in another one too`;
      faults.push({ code: 'EVIDENCE_DUPLICATE', detail, index: leaf.index, id });
      return;
    }
    // Claims that another text carries than the one asked for are nobody's here.
    const claims = record?.id === id ? record.claims : undefined;
    kept.set(id, {
      index: leaf.index,
      common: claims && commonOf(claims, record?.thumbprint ?? ''),
      iat: claims?.iat ?? 0,
      withheld: entry.opened === undefined,
      fault: undefined,
    });
    if (how.ancestry) {
      const full = details.size < MAX_FULL ? claims : undefined;
      details.set(id, { par: claims?.par ?? [], full, witnessed: how.witnessed });
    }
    if (!verdict.ok) spoil(id, verdict);
    // Whether two records have one number is asked of genuine ones only: a forger could frame.
    else if (claims !== undefined) checkSequence(id, claims);
    for (const parent of claims?.par ?? []) {
      const others = waiting.get(parent);
      if (kept.has(parent)) checkCause(id, parent);
      else if (others === undefined) waiting.set(parent, [id]);
      else others.push(id);
    }
    for (const child of waiting.get(id) ?? []) checkCause(child, id);
    waiting.delete(id);
  }

  function verdictOfKept({ fault, withheld }: Kept): HopVerdict {
    if (fault !== undefined) return verdictOf(fault);
    return withheld ? 'withheld' : 'genuine';
  }

  function hopOf(id: RecordId): Hop {
    const record = kept.get(id);
    if (record === undefined) {
      const reason = 'the record is missing';
      return { id, verdict: 'unverifiable', code: 'EVIDENCE_RECORD_MISSING', reason };
    }
    const { fault } = record;
    const { full, witnessed } = details.get(id) ?? {};
    return {
      id,
      verdict: verdictOfKept(record),
      ...(full && { claims: full }),
      ...(witnessed !== undefined && { witnessed }),
      ...(fault && { code: fault.code as Hop['code'] & string, reason: fault.detail }),
    };
  }

  /** The action first, then breadth first; every record once, also those that are missing. */
  function ancestryOf(root: RecordId): Ancestry {
    const queue = new Set<RecordId>([root]);
    for (const id of queue) for (const parent of details.get(id)?.par ?? []) queue.add(parent);
    const hops = [...queue].map(hopOf);
    const firstBad = hops.find(({ verdict }) => verdict === 'forged' || verdict === 'unverifiable');
    return { root, hops, proven: firstBad === undefined, ...(firstBad && { firstBad }) };
  }

  return {
    add,
    addTwin({ record, verdict }) {
      if (!verdict.ok || record === undefined) return;
      const { iss, sid, seq } = record.claims;
      const first = sequences.get(`${iss} ${sid}`)?.[seq];
      if (first === undefined || first === record.id) return;
      const detail = `${iss} signed ${seq} twice, also in ${record.id}`;
      spoil(first, { code: 'LEDGER_EQUIVOCATION', detail });
    },
    finish(action, issued) {
      for (const [id, { common, index, fault }] of kept) {
        if (common === undefined || fault !== undefined) continue;
        const verdict = issued({ ...common, index });
        if (verdict?.ok === false) spoil(id, verdict);
      }
      const counts = { genuine: 0, withheld: 0, forged: 0, unverifiable: 0 };
      for (const [, record] of kept) {
        counts[verdictOfKept(record)] += 1;
        if (record.fault !== undefined) faults.push(record.fault);
      }
      const ancestry = action === undefined ? undefined : ancestryOf(action);
      const shown = new Set(ancestry?.hops.map(({ id }) => id));
      const others = ancestry === undefined ? [] : [...kept.keys()].filter((id) => !shown.has(id));
      const missing = new Set([...shown].filter((id) => !kept.has(id)));
      for (const id of waiting.keys()) missing.add(id);
      for (const id of missing) {
        const [child] = waiting.get(id) ?? [];
        const named = child === undefined ? 'was asked for' : `is named by ${child}`;
        faults.push({ code: 'EVIDENCE_RECORD_MISSING', detail: `${id} ${named}, and missing`, id });
        counts.unverifiable += 1;
      }
      return { ancestry, beyond: others.map(hopOf), counts, faults };
    },
  };
}
