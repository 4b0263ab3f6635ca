import { type Outcome, refuse } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import { checkParent } from '../parents.ts';
import type { RecordClaims, RecordId } from '../record.ts';
import type { Ancestry, Hop, HopVerdict } from '../verify.ts';
import { createContests } from './contests.ts';
import type { EvidenceEntry } from './format.ts';
import type { IssuedRecord } from './issuances.ts';
import type { Judged } from './judge.ts';
import type { LedgerRules } from './rules.ts';
import { type Fault, type FaultCode, verdictOf } from './verdict.ts';

/** What many records of a session have in common, once in memory for all of them. */
interface Common {
  readonly iss: SpiffeId;
  readonly aud: readonly string[];
  readonly act: boolean;
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
  addTwin(judged: Judged, index: number): void;
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
export function createRecords(rules: LedgerRules): Records {
  const kept = new Map<RecordId, Kept>();
  const details = new Map<RecordId, Shown>();
  /** A cause that has not come yet → those that name it. */
  const waiting = new Map<RecordId, RecordId[]>();
  const contests = createContests();
  const faults: Fault[] = [];
  const commons = new Map<string, Common>();

  function commonOf({ iss, aud, knd }: RecordClaims, thumbprint: string): Common {
    const act = knd === 'act';
    const key = `${thumbprint} ${act} ${iss} ${aud.join(' ')}`;
    const known = commons.get(key) ?? { iss, aud, act, thumbprint };
    commons.set(key, known);
    return known;
  }

  function spoil(id: RecordId, { code, detail }: Pick<Fault, 'code' | 'detail'>): void {
    const record = kept.get(id);
    if (record !== undefined) record.fault ??= { code, detail, index: record.index, id };
  }

  /** A false cause is the fault of the record that names it. */
  function checkCause(child: RecordId, parent: RecordId): void {
    const [effect, cause] = [kept.get(child), kept.get(parent)];
    if (effect?.common === undefined || cause?.common === undefined) return;
    const verdict = checkParent(
      { ...effect.common, iat: effect.iat },
      { ...cause.common, iat: cause.iat },
    );
    if (!verdict.ok) spoil(child, verdict);
    // Other records may come before their cause does; an act waits for it. Whose place is wrong as
    // well says nothing of the act: anybody could have moved it.
    else if (effect.common.act && cause.fault === undefined && cause.index > effect.index) {
      const detail = `the act was entered before its cause, which is entry ${cause.index}`;
      spoil(child, refuse('LEDGER_PARENT_LATER', detail));
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
    else if (claims !== undefined) {
      const ruled = rules.judge(claims, entry.opened);
      if (!ruled.ok) spoil(id, ruled);
      // Of authentic ones only: a forger could frame.
      contests.add(id, claims);
    }
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

  function hopOf(id: RecordId, action?: RecordId): Hop {
    const record = kept.get(id);
    if (record === undefined) {
      const reason = 'the record is missing';
      return { id, verdict: 'unverifiable', code: missingAs(id, action), reason };
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
    const hops = [...queue].map((id) => hopOf(id, root));
    const firstBad = hops.find(({ verdict }) => verdict === 'forged' || verdict === 'unverifiable');
    return { root, hops, proven: firstBad === undefined, ...(firstBad && { firstBad }) };
  }

  return {
    add,
    addTwin({ record, verdict }, index) {
      if (!verdict.ok || record === undefined) return;
      const { id, thumbprint, claims } = record;
      const { iss, sid, seq } = claims;
      contests.addTwin({ id, index, thumbprint, iss, sid, seq });
    },
    finish(action, issued) {
      const verdictOn = (id: RecordId) => {
        const { common, index } = kept.get(id) ?? {};
        return common && index !== undefined ? issued({ ...common, index }) : undefined;
      };
      for (const [id, { fault }] of kept) {
        const verdict = fault === undefined ? verdictOn(id) : undefined;
        if (verdict?.ok === false) spoil(id, verdict);
      }
      const twins = contests.twins.filter((twin) => {
        const verdict = issued(twin);
        if (verdict?.ok !== false) return true;
        const { code, detail } = verdict;
        faults.push({ code, detail, index: twin.index, id: twin.id });
        return false;
      });
      contests.settle({
        issued: (id) => verdictOn(id)?.ok !== false,
        sound: (id) => kept.get(id)?.fault === undefined,
        indexOf: (id) => kept.get(id)?.index ?? 0,
        twins,
        spoil,
      });
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
        faults.push({ code: missingAs(id, action), detail: `${id} ${named}, and missing`, id });
        counts.unverifiable += 1;
      }
      return { ancestry, beyond: others.map((id) => hopOf(id)), counts, faults };
    },
  };
}

/** What the file is about is not in it, or something that led to it. */
function missingAs(id: RecordId, action: RecordId | undefined) {
  return id === action ? 'EVIDENCE_ACTION_MISSING' : 'EVIDENCE_RECORD_MISSING';
}
