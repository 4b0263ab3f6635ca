import { actKeys } from '../ledger/book.ts';
import type { RecordClaims, RecordId } from '../record.ts';
import type { IssuedRecord } from './issuances.ts';
import type { Fault } from './verdict.ts';

/** An authentic record that an entry shows as the second one under a number. */
export interface Twin extends IssuedRecord {
  readonly id: RecordId;
  readonly sid: string;
  readonly seq: number;
}

/** What is known of the records of a file when all of it is read. */
export interface Settled {
  /** Is the certificate shown as issued, and not as revoked before? */
  issued(id: RecordId): boolean;
  /** Is nothing wrong with the record so far? */
  sound(id: RecordId): boolean;
  indexOf(id: RecordId): number;
  /** Those whose certificates are shown as issued. */
  readonly twins: readonly Twin[];
  spoil(id: RecordId, why: Pick<Fault, 'code' | 'detail'>): void;
}

/**
 * What only one record may have: a number of its sender's session, and for an act its causes. Who
 * had it first is asked at the end, among authentic records under certificates that were issued:
 * else whoever has the authority's key could make an honest sender look like one that signs twice.
 */
export interface Contests {
  /** Authentic records alone. */
  add(id: RecordId, claims: RecordClaims): void;
  addTwin(twin: Twin): void;
  readonly twins: readonly Twin[];
  settle(settled: Settled): void;
}

type Numbered = Pick<RecordClaims, 'iss' | 'sid' | 'seq'>;

export function createContests(): Contests {
  /** `iss sid` → by sequence number, the record that came first; numbers mostly have no holes. */
  const sessions = new Map<string, RecordId[]>();
  /** `cause tool` → the act that came first. */
  const acts = new Map<string, RecordId>();
  /** Of either, all that claim the same, where it is more than one. */
  const sameNumber = new Map<string, RecordId[]>();
  const sameCause = new Map<string, RecordId[]>();
  const twins: Twin[] = [];

  function sharing(one: Numbered): readonly RecordId[] {
    const known = sameNumber.get(numberOf(one));
    const first = known === undefined ? sessions.get(sessionOf(one))?.[one.seq] : undefined;
    return known ?? (first === undefined ? [] : [first]);
  }

  function settleNumbers({ issued, twins, spoil }: Settled): void {
    for (const [number, ids] of sameNumber) {
      const [first, ...others] = ids.filter(issued);
      const [iss, , seq] = number.split(' ');
      const detail = `${iss} signed ${seq} twice, first in ${first}`;
      for (const id of others) spoil(id, { code: 'LEDGER_EQUIVOCATION', detail });
    }
    for (const twin of twins) {
      const first = sharing(twin).find(issued);
      if (first === undefined || first === twin.id) continue;
      const detail = `${twin.iss} signed ${twin.seq} twice, also in ${twin.id}`;
      spoil(first, { code: 'LEDGER_EQUIVOCATION', detail });
    }
  }

  /** As the ledger would have taken them, one after the other: an act that is refused claims nothing. */
  function settleActs({ sound, indexOf, spoil }: Settled): void {
    const keys = new Map<RecordId, string[]>();
    for (const [key, ids] of sameCause) {
      for (const id of ids) keys.set(id, [...(keys.get(id) ?? []), key]);
    }
    const taken = new Map<string, RecordId>();
    for (const [id, own] of [...keys].sort(([a], [b]) => indexOf(a) - indexOf(b))) {
      if (!sound(id)) continue;
      const claimed = own.find((key) => taken.has(key));
      if (claimed === undefined) for (const key of own) taken.set(key, id);
      else {
        const detail = `the act ${taken.get(claimed)} had this cause before, with the same tool`;
        spoil(id, { code: 'LEDGER_ACT_CLAIMED', detail });
      }
    }
  }

  return {
    add(id, claims) {
      const session = sessionOf(claims);
      const seen = sessions.get(session) ?? [];
      sessions.set(session, seen);
      const first = seen[claims.seq];
      if (first === undefined) seen[claims.seq] = id;
      else contest(sameNumber, numberOf(claims), first, id);
      for (const key of actKeys(claims)) {
        const act = acts.get(key);
        if (act === undefined) acts.set(key, id);
        else contest(sameCause, key, act, id);
      }
    },
    addTwin: (twin) => twins.push(twin),
    twins,
    settle(settled) {
      settleNumbers(settled);
      settleActs(settled);
    },
  };
}

function contest(all: Map<string, RecordId[]>, key: string, first: RecordId, id: RecordId): void {
  const known = all.get(key);
  if (known === undefined) all.set(key, [first, id]);
  else known.push(id);
}

function sessionOf({ iss, sid }: Numbered): string {
  return `${iss} ${sid}`;
}

function numberOf(one: Numbered): string {
  return `${sessionOf(one)} ${one.seq}`;
}
