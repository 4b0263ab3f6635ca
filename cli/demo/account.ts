import type { LedgerQueries } from '#custody/ledger/queries.ts';
import { entryName, isDenial, refusalOf } from '../story/entries.ts';
import { failureOf, readAnswer } from '../story/payload.ts';
import type { LedgerView } from '../wiring/ledger-view.ts';

/** A refusal that the ledger holds: at a door, a gate, the broker, or as a policy's denial. */
export interface Refused {
  /** The record's id, or `@index` where the entry is none. */
  readonly entry: string;
  readonly code: string;
  readonly by: string;
}

const WHOLE = Number.POSITIVE_INFINITY;
const ALL = { limit: Number.POSITIVE_INFINITY };

export function refusedIn(ledger: Pick<LedgerQueries, 'list'>): readonly Refused[] {
  return ledger.list(ALL).flatMap((entry): Refused[] => {
    const refusal = refusalOf(entry);
    if (refusal !== undefined) {
      return [{ entry: entryName(entry, WHOLE), code: refusal.code, by: refusal.presented_by }];
    }
    if (!isDenial(entry)) return [];
    const answer = entry.payload && readAnswer(entry.payload);
    const code = (answer && failureOf(answer)?.code) ?? 'POLICY_DENIED';
    return [{ entry: entryName(entry, WHOLE), code, by: entry.record.claims.aud[0] ?? 'unknown' }];
  });
}

/** Whose refusals are no surprise: those of one entry's kind, and of whoever an attacker held. */
export interface Expected {
  readonly entries: ReadonlySet<string>;
  /** SPIFFE IDs and tokens. */
  readonly held: ReadonlySet<string>;
}

/** Refusals that nobody announced: another code, or somebody else's. */
export function surprises(refused: readonly Refused[], expected: Expected): readonly Refused[] {
  const announced = refused.filter(({ entry }) => expected.entries.has(entry));
  return refused.filter(
    ({ code, by }) =>
      !expected.held.has(by) && !announced.some((one) => one.code === code && one.by === by),
  );
}

/** A session of one sender, and the numbers of its records that are not in the ledger. */
export interface Gap {
  readonly iss: string;
  readonly sid: string;
  readonly missing: readonly number[];
}

/**
 * Records that the ledger does not hold although a later one of the same session is there: every
 * session numbers its records from 1 without a gap.
 */
export function gapsIn(ledger: Pick<LedgerQueries, 'list'>): readonly Gap[] {
  const sessions = new Map<string, { iss: string; sid: string; readonly held: Set<number> }>();
  for (const entry of ledger.list(ALL)) {
    if (!('record' in entry)) continue;
    const { iss, sid, seq } = entry.record.claims;
    const key = `${iss} ${sid}`;
    const session = sessions.get(key) ?? { iss, sid, held: new Set<number>() };
    session.held.add(seq);
    sessions.set(key, session);
  }
  return [...sessions.values()].flatMap(({ iss, sid, held }) => {
    const highest = [...held].reduce((most, seq) => Math.max(most, seq), 0);
    if (highest === held.size) return [];
    const all = Array.from({ length: highest }, (_, index) => index + 1);
    return [{ iss, sid, missing: all.filter((seq) => !held.has(seq)) }];
  });
}

/**
 * Resolves when no record is missing; what is on its way is waited for, entry by entry. What an
 * attacker signed with an identity that it held is not missing where the ledger refused it.
 */
export async function untilComplete(ledger: LedgerView, { held }: Expected): Promise<void> {
  const refused = ({ iss, missing }: Gap): boolean =>
    held.has(iss) && missing.length <= refusedIn(ledger).filter(({ by }) => held.has(by)).length;
  while (!gapsIn(ledger).every(refused)) await ledger.entry(() => true, ledger.size());
}
