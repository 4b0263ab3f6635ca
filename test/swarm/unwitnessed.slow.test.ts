import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningSwarm } from '#cli/wiring/swarm.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import { isAgentAct } from '../../cli/story/entries.ts';
import { failureOf, readAnswer } from '../../cli/story/payload.ts';
import { ACTION, ANALYZER, folder, pidOf, start, swarmFile } from './city.ts';

const place = folder();
let running: RunningSwarm;
beforeAll(async () => {
  const source = { kind: 'simulated', seed: 7, rows: 100_000, anomalies: 400, intervalMs: 20 };
  const file = swarmFile(place.path, [{ role: 'sensor', name: 'cam-1', source }, ANALYZER, ACTION]);
  running = await start({ file, runPath: join(place.path, 'run') });
}, 120_000);
afterAll(async () => {
  await running?.stop();
  place.remove();
});

/** The tool server's own order to the city works: something moves. */
const moves = (entry: LedgerEntry): boolean =>
  entry.type === 'record' &&
  entry.record.claims.knd === 'act' &&
  entry.record.claims.sbj.startsWith('svc.city-works.');
const notWitnessed = (entry: LedgerEntry): boolean => {
  if (entry.type !== 'record' || entry.record.claims.knd !== 'tool.result') return false;
  const answer = entry.payload === undefined ? undefined : readAnswer(entry.payload);
  return answer !== undefined && failureOf(answer)?.code === 'CAUSE_NOT_WITNESSED';
};

test('nothing moves in the city on an order that too few witnesses have seen, and it does when they are back', async () => {
  await running.ledger.entry(moves);
  const pids = ['witness-1', 'witness-2'].map((name) => pidOf(running, name));
  try {
    const from = running.ledger.size();
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    const stopped = Date.now();
    // What was seen before may still be carried out; the first order after that may not. By the time
    // at which the ledger entered it: what is seen here of the ledger may be a moment behind.
    const after = (entry: LedgerEntry): boolean => isAgentAct(entry) && entry.at > stopped;
    const order = await running.ledger.entry(after, from);
    const refused = await running.ledger.entry(notWitnessed, order.index);
    const others = await running.ledger.entry(notWitnessed, refused.index + 1);
    const between = running.ledger.list({ since: order.index, limit: others.index - order.index });
    const caused = (entry: LedgerEntry): boolean =>
      'record' in entry &&
      entry.record.claims.par.some((id) => (running.ledger.get(id)?.index ?? 0) >= order.index);
    expect(between.filter((entry) => moves(entry) && caused(entry))).toEqual([]);
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
  await running.ledger.entry(moves, running.ledger.size());
}, 400_000);
