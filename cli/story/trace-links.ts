import type { LedgerEntry } from '#custody/ledger/entry.ts';
import { searchLink, traceLink } from '#observability/links.ts';
import type { FoundSpan } from '#observability/span-index.ts';
import type { RunningSwarm } from '../wiring/swarm.ts';
import { refusalOf } from './entries.ts';

/** What links are made from: the spans that passed, and whose tokens stand in refusals. */
export interface Traced {
  readonly traces: Pick<RunningSwarm['traces'], 'wait'>;
  readonly swarm: {
    readonly members: readonly {
      readonly id: string;
      readonly token: string;
      readonly role: string;
    }[];
  };
}

/** Spans reach the supervisor a little after the message that they are about. */
const WAIT_MS = 3000;

/**
 * The link that opens the span of a refusal, or of what a service refused or failed to do. A refusal
 * of no record, as the broker's is, has no span: then the search for what its presenter did.
 * Undefined where neither is.
 */
export async function linkOf(
  entry: LedgerEntry,
  jaeger: string,
  traced: Traced,
): Promise<string | undefined> {
  const span = await firstError(recordsOf(entry), traced.traces, tellerOf(entry, traced));
  if (span !== undefined) return traceLink(jaeger, span);
  const by = refusalOf(entry)?.presented_by;
  const who = traced.swarm.members.find(({ id, token }) => token === by || id === by);
  if (who === undefined) return undefined;
  return searchLink(jaeger, { service: who.role, tags: { 'spiffe.id': who.id } });
}

/** The records that were refused: the one that a refusal names, or those that an answer answers. */
function recordsOf(entry: LedgerEntry): readonly string[] {
  const refusal = refusalOf(entry);
  if (refusal !== undefined) return refusal.record === undefined ? [] : [refusal.record];
  if (entry.type !== 'record' || entry.record.claims.knd !== 'tool.result') return [];
  return entry.record.claims.par;
}

/**
 * Token of the process that refused: what any other says of the same record is not the refusal, and
 * one that was taken over could plant it.
 */
function tellerOf(entry: LedgerEntry, { swarm }: Traced): string | undefined {
  if (entry.type !== 'record') return 'platform-ledger';
  return swarm.members.find(({ id }) => id === entry.record.claims.iss)?.token;
}

async function firstError(
  records: readonly string[],
  traces: Traced['traces'],
  teller: string | undefined,
): Promise<FoundSpan | undefined> {
  const { promise, resolve } = Promise.withResolvers<FoundSpan | undefined>();
  const all = records.map(async (id) => {
    const fits = ({ error, process }: FoundSpan): boolean => error && process === teller;
    const span = await traces.wait(id, { timeoutMs: WAIT_MS, fits });
    if (span !== undefined) resolve(span);
  });
  void Promise.all(all).then(() => resolve(undefined));
  return promise;
}
