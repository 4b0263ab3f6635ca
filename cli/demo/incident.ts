import { type Finding, findingSchema } from '#agents/finding.ts';
import { fromBytes } from '#agents/json.ts';
import { analyzerSchema } from '#agents/roles/analyzer.ts';
import { inert } from '#agents/text.ts';
import type { RecordEntry } from '#custody/ledger/entry.ts';
import { pathOf } from '#identity/spiffe-id.ts';
import { orderOf, readingValue } from '../narration.ts';
import type { RunningSwarm } from '../wiring/swarm.ts';
import { observeWorksState } from '../wiring/works-observer.ts';
import { notObserved, type Observed, observed } from './claims.ts';
import { isAction, isFinding, isReading, judged } from './observations.ts';
import type { Screen } from './screen.ts';
import { shortTree } from './tree.ts';

const NOTHING = new Uint8Array();

export const nameOf = (entry: RecordEntry): string =>
  pathOf(entry.record.claims.iss).split('/').at(-1) ?? '';

/** The first incident that is acted upon, told as its records come in: reading to city works. */
export async function tellIncident(
  running: RunningSwarm,
  screen: Screen,
  seen: Observed,
  signal: AbortSignal,
): Promise<RecordEntry> {
  const { ledger } = running;
  const finding = await observed(
    'finding',
    ledger.entry((entry) => isFinding(entry) && proposalOf(entry) !== undefined),
    signal,
  );
  const found = isFinding(finding) ? proposalOf(finding) : undefined;
  if (!isFinding(finding) || found === undefined) throw notObserved('finding', 'it is not one');
  // Each sender hands in its own records: the finding may be there before its reading.
  const causes = finding.record.claims.par;
  const reading = await observed(
    'finding',
    ledger.entry((entry) => isReading(entry) && causes.includes(entry.record.id)),
    signal,
  );
  if (!isReading(reading)) throw notObserved('finding', 'its reading is not in the ledger');
  if (judged(running, reading)?.proven !== true) {
    throw notObserved('finding', 'the record of the reading is not genuine');
  }
  const value = readingValue(reading.payload ?? NOTHING) ?? 'unreadable';
  screen.event(reading.at, 'reading', nameOf(reading), value);
  screen.event(finding.at, 'anomaly', nameOf(finding), anomalyText(running, finding, found));
  const { runbook, model } = found;
  const used = inert(`runbook ${runbook ?? 'none'}, model ${model ?? 'none'}`, 60);
  screen.event(finding.at, 'finding', nameOf(finding), used);
  seen.finding = finding.record.id;

  const action = await observed(
    'works',
    ledger.entry((entry) => isAction(entry) && entry.record.claims.par.includes(finding.record.id)),
    signal,
  );
  if (!isAction(action)) throw notObserved('works', 'the order is no record');
  await observed('works', carriedOut(running, action), signal);
  const { signals } = await observeWorksState(running.observe);
  const plans = Object.entries(signals).map(([district, plan]) => `${district} ${plan}`);
  const order = orderOf(action.payload ?? NOTHING);
  screen.event(action.at, 'action', nameOf(action), `${order}, city works now: ${plans}`);
  seen.works = `${action.record.id}: ${plans.join(', ')}`;
  return action;
}

/** Draws how an action came about, judged here under the trust domain's own roots. */
export function tellAncestry(
  running: RunningSwarm,
  action: RecordEntry,
  start: number,
  screen: Screen,
  seen: Observed,
): void {
  const ancestry = judged(running, action);
  screen.say();
  screen.say(`Who did it, because of whom: action ${action.record.id.slice(0, 6)}`);
  if (ancestry !== undefined) {
    const records = running.ledger.ancestry(action.record.id);
    for (const line of shortTree(ancestry, records, start)) screen.say(line);
  }
  if (ancestry?.proven !== true) throw notObserved('tree', ancestry?.firstBad?.reason ?? 'no tree');
  seen.tree = `${ancestry.hops.length} hops`;
}

function proposalOf(entry: RecordEntry): Finding | undefined {
  const finding = findingSchema.safeParse(fromBytes(entry.payload ?? NOTHING));
  return finding.success && finding.data.proposal !== null ? finding.data : undefined;
}

/** The score is in robust standard deviations: 1.4826 × MAD, the median absolute deviation. */
function anomalyText(
  { swarm }: RunningSwarm,
  entry: RecordEntry,
  { score, direction }: Finding,
): string {
  const { iss } = entry.record.claims;
  const agent = swarm.agents.find(({ member }) => member.id === iss);
  const own = analyzerSchema.safeParse(agent?.config);
  const against = own.success ? ` the median of the last ${own.data.detector.window}` : '';
  const side = direction === 'low' ? 'below' : 'above';
  return `${score.toFixed(1)} robust deviations ${side}${against}`;
}

/** Resolves when the works, seen from outside, have carried out this very order. */
async function carriedOut(running: RunningSwarm, action: RecordEntry): Promise<void> {
  const done = async (): Promise<boolean> => {
    // Busy works are asked again; how long at most is the claim's affair.
    const works = await observeWorksState(running.observe).catch(() => undefined);
    return works?.orders.some(({ order }) => order === action.record.id) ?? false;
  };
  // Each entry that follows is an occasion to look again: the works' own answer is one of them.
  while (!(await done())) await running.ledger.entry(() => true, running.ledger.size());
}
