import { fromBytes } from '#agents/json.ts';
import type { RecordEntry } from '#custody/ledger/entry.ts';
import type { Instant } from '#scenarios/arena.ts';
import type { Named } from '#scenarios/verdict.ts';
import { isAgentAct, isDenial } from '../../story/entries.ts';
import { LATER, type News, type Watch } from './watch.ts';

type Traced = Pick<Watch, 'ancestry' | 'complete'>;

export interface Found {
  readonly at: Instant;
  readonly entry: RecordEntry;
}

/** The reading with that mark. */
export function readingAt(mark: string) {
  return (news: News): Found | undefined => {
    if (news.kind !== 'entry' || news.entry.type !== 'record') return undefined;
    return isMarked(news.entry, mark) ? { at: news.at, entry: news.entry } : undefined;
  };
}

/** An agent's order that came of the reading with that mark. */
export function orderAfter(watch: Traced, mark: string) {
  return (news: News): Found | typeof LATER | undefined => {
    if (news.kind !== 'entry' || !isAgentAct(news.entry)) return undefined;
    const { at, entry } = news;
    const { id } = entry.record;
    if (watch.ancestry(id).some((one) => isMarked(one, mark))) return { at, entry };
    return watch.complete(id) ? undefined : LATER;
  };
}

/** A policy's denial of an agent's order for that tool, when all that it came of is known. */
export function denialOf(watch: Traced, tool: string) {
  return (news: News): (Found & { readonly act: RecordEntry }) | typeof LATER | undefined => {
    if (news.kind !== 'entry' || !isDenial(news.entry)) return undefined;
    const { at, entry } = news;
    // Who is named depends on everything that the order came of.
    if (!watch.complete(entry.record.id)) return LATER;
    const orders = watch.ancestry(entry.record.id).filter(isAgentAct);
    const act = orders.find(({ record }) => record.claims.tool?.model === tool);
    return act === undefined ? undefined : { at, entry, act };
  };
}

/** Whose signed reading began what was refused; whoever is between passed it on. */
export function namedByAncestry(ancestry: readonly RecordEntry[]): Named | undefined {
  const roots = ancestry.filter(({ record }) => record.claims.knd === 'root');
  const [root] = roots;
  if (root === undefined || roots.length > 1) return undefined;
  const name = (id: string): string => id.split('/').at(-1) ?? id;
  const between = ancestry
    .filter(({ record }) => record.claims.iss.includes('/agent/') && record.claims.knd !== 'root')
    .map(({ record }) => name(record.claims.iss));
  const by = [...new Set(between)].reverse().join(' and ');
  return { id: root.record.claims.iss, by: `its signed reading, by way of ${by}` };
}

/** Is it a sensor's own reading with this mark: the time that it claims? */
function isMarked(entry: RecordEntry, at: string): boolean {
  if (entry.record.claims.knd !== 'root' || entry.payload === undefined) return false;
  const reading = fromBytes(entry.payload);
  return typeof reading === 'object' && reading !== null && 'at' in reading && reading.at === at;
}
