import type { Outcome } from '#identity/outcome.ts';
import { checkParent } from '../parents.ts';
import type { RecordClaims, RecordId } from '../record.ts';
import type { Ancestry, Hop, HopVerdict } from '../verify.ts';
import type { EvidenceEntry } from './format.ts';
import type { IssuedRecord } from './issuances.ts';
import type { Judged } from './judge.ts';
import { type Fault, type FaultCode, verdictOf } from './verdict.ts';

/** What is kept of a record: what its effects are compared with, and no payload. */
interface Kept {
  readonly index: number;
  readonly thumbprint: string;
  /** Of the claims only what is asked for later; equal lists and names are one in memory. */
  readonly claims: Pick<RecordClaims, 'iss' | 'aud' | 'iat' | 'par'> | undefined;
  /** Everything it says, for the first thousands: whoever shows a tree wants it. */
  readonly full: RecordClaims | undefined;
  readonly withheld: boolean;
  readonly witnessed: number | undefined;
  fault: Fault | undefined;
}

export interface HowKept {
  /** What an action's causes are walked and shown by is kept as well. */
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
  /** A cause that has not come yet → those that name it. */
  const waiting = new Map<RecordId, RecordId[]>();
  /** `iss sid` → sequence number → the record that had it first. */
  const sequences = new Map<string, Map<number, RecordId>>();
  const faults: Fault[] = [];
  const names = new Map<string, string>();
  const lists = new Map<string, readonly string[]>();

  /** One string in memory for all that are equal. */
  function same<T extends string>(text: T): T {
    const known = names.get(text);
    if (known !== undefined) return known as T;
    names.set(text, text);
    return text;
  }

  function sameList(list: readonly string[]): readonly string[] {
    const key = list.join(' ');
    const known = lists.get(key);
    if (known !== undefined) return known;
    lists.set(key, list);
    return list;
  }

  function spoil(id: RecordId, { code, detail }: Pick<Fault, 'code' | 'detail'>): void {
    const record = kept.get(id);
    if (record !== undefined) record.fault ??= { code, detail, index: record.index, id };
  }

  /** A false cause is the fault of the record that names it. */
  function checkCause(child: RecordId, parent: RecordId): void {
    const [effect, cause] = [kept.get(child)?.claims, kept.get(parent)?.claims];
    if (effect === undefined || cause === undefined) return;
    const verdict = checkParent(effect as RecordClaims, cause as RecordClaims);
    if (!verdict.ok) spoil(child, verdict);
  }

  function checkSequence(id: RecordId, { iss, sid, seq }: RecordClaims): void {
    const session = `${iss} ${sid}`;
    const seen = sequences.get(session) ?? new Map<number, RecordId>();
    sequences.set(session, seen);
    const other = seen.get(seq);
    if (other === undefined) seen.set(seq, id);
    else
      spoil(id, {
        code: 'LEDGER_EQUIVOCATION',
        detail: `${iss} signed ${seq} twice, first in ${other}`,
      });
  }

  function add(entry: EvidenceEntry, { record, verdict }: Judged, how: HowKept): void {
    const { id, leaf } = entry;
    const { ancestry, witnessed } = how;
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
      thumbprint: same(record?.thumbprint ?? ''),
      claims: claims && {
        iss: same(claims.iss),
        aud: sameList(claims.aud),
        iat: claims.iat,
        par: ancestry ? claims.par : [],
      },
      full: ancestry && kept.size < MAX_FULL ? claims : undefined,
      withheld: entry.opened === undefined,
      witnessed,
      fault: undefined,
    });
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
    const { fault, full, witnessed } = record;
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
    for (const id of queue) for (const parent of kept.get(id)?.claims?.par ?? []) queue.add(parent);
    const hops = [...queue].map(hopOf);
    const firstBad = hops.find(({ verdict }) => verdict === 'forged' || verdict === 'unverifiable');
    return { root, hops, proven: firstBad === undefined, ...(firstBad && { firstBad }) };
  }

  return {
    add,
    addTwin({ record, verdict }) {
      if (!verdict.ok || record === undefined) return;
      const { iss, sid, seq } = record.claims;
      const first = sequences.get(`${iss} ${sid}`)?.get(seq);
      if (first === undefined || first === record.id) return;
      const detail = `${iss} signed ${seq} twice, also in ${record.id}`;
      spoil(first, { code: 'LEDGER_EQUIVOCATION', detail });
    },
    finish(action, issued) {
      for (const [id, { claims, thumbprint, index, fault }] of kept) {
        if (claims === undefined || fault !== undefined) continue;
        const verdict = issued({ iss: claims.iss, thumbprint, index });
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
