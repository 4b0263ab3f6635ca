import type { RefusalPayload } from '#custody/ack.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import { entryName, refusalOf } from '../story/entries.ts';
import type { RunningSwarm } from '../wiring/swarm.ts';
import { notObserved, type Observed, observed } from './claims.ts';
import { askUnattested } from './observations.ts';
import type { Screen } from './screen.ts';

/** This process, which nobody attested, asks for an identity; the ledger records the refusal, under the name returned. */
export async function tellStranger(
  running: RunningSwarm,
  screen: Screen,
  seen: Observed,
  signal: AbortSignal,
): Promise<string> {
  const self = `pid-${process.pid}`;
  const ofThis = (entry: LedgerEntry): RefusalPayload | undefined => {
    const refusal = refusalOf(entry);
    return refusal?.presented_by === self ? refusal : undefined;
  };
  const said = await observed('refusal', askUnattested(running), signal);
  const entry = await observed(
    'refusal',
    running.ledger.entry((one) => ofThis(one) !== undefined),
    signal,
  );
  const code = ofThis(entry)?.code;
  if (code === undefined) throw notObserved('refusal', 'the ledger has no code for it');
  screen.event(entry.at, 'refusal', 'a stranger', `${said}, recorded as ${code}`);
  seen.refusal = code;
  return entryName(entry, Number.POSITIVE_INFINITY);
}
