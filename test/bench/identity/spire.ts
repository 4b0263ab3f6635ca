import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';
import { call, openSession, readSvids } from '#test/identity/issuer/raw-client.ts';
import { spire } from '#test/tools.ts';
import type { Measure } from '../bus.ts';
import { entryToSvid, firstAnswers, jwtSvids, manyStreams } from './measures.ts';
import {
  SELECTORS,
  type Spire,
  type SpireOptions,
  type SpirePrograms,
  startSpire,
} from './spire-processes.ts';

const PATH = '/agent/sensor/north/cam-1';
/** Few, because each waits until the server has read its entries and the agent has asked for them. */
const ENTRIES = 40;
/** Apart from each other by anything up to this, so that no poll is always equally near. */
const APART_MS = 2000;
const SHORT_INTERVAL = '100ms';
const SHORT_APART_MS = 500;

/** Each entry is timed by itself, from before it is added until a stream brings its SVID. */
async function additions({ admin, socket, agentPath }: Spire, apart: number): Promise<Measure[]> {
  const session = openSession(socket);
  const stream = call(session, 'FetchX509SVID');
  await stream.next();
  const began = new Map<string, number>();
  const times: number[] = [];
  const reading = async (): Promise<void> => {
    while (times.length < ENTRIES) {
      const message = await stream.next();
      const now = performance.now();
      if (message === undefined) throw new Error(`the stream ended: ${await stream.status}`);
      for (const { id } of readSvids(message)) {
        const since = began.get(id);
        if (since !== undefined) times.push(now - since);
        began.delete(id);
      }
    }
  };
  const adding = async (): Promise<void> => {
    for (let index = 0; index < ENTRIES; index += 1) {
      await pause(Math.random() * apart);
      const path = `/job/${index}`;
      began.set(`spiffe://${TRUST_DOMAIN}${path}`, performance.now());
      const id = randomUUID();
      await admin.createEntry({ id, path, parent: agentPath, selectors: SELECTORS, x509Ttl: 600 });
    }
  };
  await Promise.all([reading(), adding()]);
  stream.cancel();
  session.destroy();
  return entryToSvid(times);
}

async function withSpire<T>(
  programs: SpirePrograms,
  options: Pick<SpireOptions, 'interval'>,
  measure: (of: Spire) => Promise<T>,
): Promise<T> {
  const running = await startSpire(programs, { ...options, trustDomain: TRUST_DOMAIN, path: PATH });
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
  const theirs = await withSpire(programs, {}, async (running) => {
    const { socket, agentPid, admin, entryId } = running;
    const figures = [...(await jwtSvids(socket)), ...(await firstAnswers(socket))];
    const change = () => admin.setX509Ttl(entryId, 601);
    try {
      figures.push(...(await manyStreams(socket, agentPid, change)));
    } catch (error) {
      process.stdout.write(`  SPIRE: ${error instanceof Error ? error.message : error}\n`);
    }
    return [...figures, ...(await additions(running, APART_MS))];
  });
  const short = await withSpire(programs, { interval: SHORT_INTERVAL }, (running) =>
    additions(running, SHORT_APART_MS),
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
