import { setTimeout as pause } from 'node:timers/promises';
import type { BusClient } from '#bus/client/bus-client.ts';
import { RECORDED_PATH } from '#cli/wiring/ledger-queries.ts';
import { verifyRecorded } from '#custody/ledger/recorded.ts';
import type { RecordId } from '#custody/record.ts';
import { createLedgerBench, type LedgerBench } from '#test/cli/ledger/process.ts';
import { MEMBERS } from '#test/support/swarm.ts';
import type { BenchResult } from '../record.ts';

const ROUNDS = 150;
/** Records a second beside what is measured; a swarm of the demo makes some two hundred. */
const LOAD_PER_SECOND = 300;

/**
 * What a high-risk call waits for: the ledger's proof that its cause is in a tree which two of three
 * witness processes cosigned, each after a write to its disk. Ledger and witnesses run from their
 * images, the broker is real; the times are those of who asks, with the judgement of the answer.
 */
export async function benchInclusion(): Promise<BenchResult[]> {
  const bench = await createLedgerBench();
  const { swarm } = bench;
  const clients: BusClient[] = [];
  const open = async (member: (typeof MEMBERS)[keyof typeof MEMBERS]): Promise<BusClient> => {
    const source = await swarm.source(member);
    bench.issued(source.svid());
    const { client } = await swarm.client(member, { source });
    clients.push(client);
    return client;
  };
  const [camera, other, mcp] = await Promise.all([
    open(MEMBERS.camera),
    open(MEMBERS.camera2),
    open(MEMBERS.mcp),
  ]);
  try {
    const ledger = await bench.start();
    const record = () => camera.record({ kind: 'root', payload: Buffer.from('act') });
    await rounds(20, async () => proven(bench, mcp, await record()));
    const old = await record();
    await proven(bench, mcp, old);
    const known = await rounds(ROUNDS, () => proven(bench, mcp, old));
    // The shortest time between two heads has passed: nobody else asked just before.
    const alone = await rounds(ROUNDS, async () => {
      await pause(100);
      return proven(bench, mcp, await record());
    });
    const close = await rounds(ROUNDS, async () => proven(bench, mcp, await record()));
    let loaded = true;
    const load = (async () => {
      while (loaded) {
        for (let n = 0; n < LOAD_PER_SECOND / 20; n += 1) {
          await other.record({ kind: 'root', payload: Buffer.from('reading') });
        }
        await pause(50);
      }
    })();
    const busy = await rounds(ROUNDS, async () => proven(bench, mcp, await record()));
    loaded = false;
    await load;
    await ledger.stop(5000);
    return [
      ...quantiles('asked for a record that is witnessed', known),
      ...quantiles('asked for a record just made', alone),
      ...quantiles('the same, one after the other (a head each 50 ms)', close),
      ...quantiles(`the same beside ${LOAD_PER_SECOND} records/s`, busy),
      {
        name: 'added by storage, signature and witnesses, p50',
        value: at(alone, 0.5) - at(known, 0.5),
        unit: 'ms',
      },
    ];
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await bench.clear();
  }
}

async function proven(bench: LedgerBench, mcp: BusClient, id: RecordId): Promise<number> {
  const began = performance.now();
  const answer = await mcp.request({
    service: 'ledger',
    request: {
      method: 'POST',
      path: RECORDED_PATH,
      contentType: 'application/json',
      body: JSON.stringify({ id }),
    },
    recordKind: 'tool.call',
    timeoutMs: 10_000,
  });
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.detail}`);
  const asked = { id, policy: bench.policy, now: Date.now(), maxAgeMs: 10_000 };
  const verdict = verifyRecorded(JSON.parse(answer.payload.body), asked);
  if (!verdict.ok) throw new Error(`${verdict.code}: ${verdict.detail}`);
  return performance.now() - began;
}

async function rounds(count: number, round: () => Promise<number>): Promise<readonly number[]> {
  const times: number[] = [];
  for (let n = 0; n < count; n += 1) times.push(await round());
  return times.sort((a, b) => a - b);
}

function at(sorted: readonly number[], quantile: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? Number.NaN;
}

function quantiles(name: string, sorted: readonly number[]): BenchResult[] {
  return [
    { name: `${name}, p50`, value: at(sorted, 0.5), unit: 'ms' },
    { name: `${name}, p99`, value: at(sorted, 0.99), unit: 'ms' },
  ];
}
