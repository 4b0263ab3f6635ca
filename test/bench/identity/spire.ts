import { randomUUID } from 'node:crypto';
import { TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';
import { spire } from '#test/tools.ts';
import type { Measure } from '../bus.ts';
import { part } from './limits.ts';
import { additions, firstAnswers, jwtSvids, manyStreams } from './measures.ts';
import {
  SELECTORS,
  type Spire,
  type SpireOptions,
  type SpirePrograms,
  startSpire,
} from './spire-processes.ts';

const PATH = '/agent/sensor/north/cam-1';
/** Few, because each waits until the server has read its entries and the agent has asked for them. */
const ENTRIES = 30;
/** Apart from each other by anything up to this, so that no poll is always equally near. */
const APART_MS = [0, 2000] as const;
const SHORT_INTERVAL = '100ms';
const SHORT_APART_MS = [0, 500] as const;
const LIMIT_MS = 60_000;

function adding(
  { admin, socket, agentPath }: Spire,
  apartMs: readonly [number, number],
): Promise<Measure[]> {
  return additions(socket, {
    entries: ENTRIES,
    apartMs,
    limitMs: LIMIT_MS,
    trustDomain: TRUST_DOMAIN,
    add: (path) =>
      admin.createEntry({
        id: randomUUID(),
        path,
        parent: agentPath,
        selectors: SELECTORS,
        x509Ttl: 600,
      }),
  });
}

/** Without one that starts and stops there are no figures; why, is said. */
async function withSpire(
  programs: SpirePrograms,
  options: Pick<SpireOptions, 'interval'>,
  measure: (of: Spire) => Promise<Measure[]>,
): Promise<Measure[]> {
  let running: Spire;
  try {
    running = await startSpire(programs, { ...options, trustDomain: TRUST_DOMAIN, path: PATH });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    process.stdout.write(`  SPIRE: not measured: ${why}\n`);
    return [];
  }
  try {
    return await measure(running);
  } finally {
    await running.stop();
  }
}

/** How many times better the first is: more in a second, or less time, or less memory. */
function ratio(ours: Measure, theirs: Measure): number {
  return ours.unit === '/s' ? ours.value / theirs.value : theirs.value / ours.value;
}

/**
 * A real SPIRE server and agent on this machine, measured as ours were a moment ago: the same client
 * code, the same number of calls at a time. The order of the parts is ours too.
 */
export async function benchSpire(ours: readonly Measure[]): Promise<Measure[]> {
  const programs = spire();
  if (programs === undefined) {
    process.stdout.write(
      '  No comparison: spire-server and spire-agent are not here; set SWARMPROOF_SPIRE_SERVER and\n' +
        '  SWARMPROOF_SPIRE_AGENT to the programs, or put them on the PATH.\n',
    );
    return [];
  }
  const measured = (name: string, work: Parameters<typeof part>[2]): Promise<Measure[]> =>
    part(`SPIRE: ${name}`, LIMIT_MS + 10_000, work);
  const theirs = await withSpire(programs, {}, async (running) => {
    const { socket, agentPid, admin, entryId } = running;
    const change = () => admin.setX509Ttl(entryId, 601);
    return [
      ...(await measured('JWT-SVIDs', () => jwtSvids(socket))),
      ...(await measured('first answers', () => firstAnswers(socket))),
      ...(await measured('many streams', (signal) =>
        manyStreams(socket, agentPid, change, signal),
      )),
      ...(await measured('entries', () => adding(running, APART_MS))),
    ];
  });
  const short = await withSpire(programs, { interval: SHORT_INTERVAL }, (running) =>
    measured(`entries, every ${SHORT_INTERVAL}`, () => adding(running, SHORT_APART_MS)),
  );
  const ratios = theirs.flatMap((theirs) => {
    const same = ours.find(({ name }) => name === theirs.name);
    if (same === undefined) return [];
    return [{ name: `better than SPIRE: ${theirs.name}`, value: ratio(same, theirs), unit: '×' }];
  });
  return [
    ...theirs.map((figure) => ({ ...figure, name: `SPIRE: ${figure.name}` })),
    ...short.map((figure) => ({
      ...figure,
      name: `SPIRE that looks every ${SHORT_INTERVAL}: ${figure.name}`,
    })),
    ...ratios,
  ];
}
