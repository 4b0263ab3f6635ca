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

/** Refusals of a kind that nobody announced: another code, or somebody else's. */
export function surprises(
  refused: readonly Refused[],
  expected: ReadonlySet<string>,
): readonly Refused[] {
  const announced = refused.filter(({ entry }) => expected.has(entry));
  return refused.filter(
    ({ code, by }) => !announced.some((one) => one.code === code && one.by === by),
  );
}

/**
 * Records that the ledger does not hold although a later one of the same session is there: every
 * session numbers its records from 1 without a gap.
 */
export function missingRecords(ledger: Pick<LedgerQueries, 'list'>): number {
  const sessions = new Map<string, { highest: number; readonly held: Set<number> }>();
  for (const entry of ledger.list(ALL)) {
    if (entry.type === 'refusal') continue;
    const { iss, sid, seq } = entry.record.claims;
    const key = `${iss} ${sid}`;
    const session = sessions.get(key) ?? { highest: 0, held: new Set<number>() };
    session.held.add(seq);
    session.highest = Math.max(session.highest, seq);
    sessions.set(key, session);
  }
  let missing = 0;
  for (const { highest, held } of sessions.values()) missing += highest - held.size;
  return missing;
}

/** Resolves when no record is missing; what is on its way is waited for, entry by entry. */
export async function untilComplete(ledger: LedgerView): Promise<void> {
  while (missingRecords(ledger) > 0) await ledger.entry(() => true, ledger.size());
}
