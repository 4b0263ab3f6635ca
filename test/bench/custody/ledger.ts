import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { createRecordSigner } from '#custody/record/sign.ts';
import type { SignedRecord } from '#custody/record.ts';
import { MEMBERS, randomOf, startSwarm } from '#test/support/swarm.ts';
import { percentile, withSwarm } from '../swarm.ts';
import { type BenchResult, median, row } from './measure.ts';
import { BATCH } from './records.ts';

const ROUNDS = 3;
const RECORDS = 2048;
const LAG_ROWS = 1500;
const LOOK_MS = 10;

/** The ledger's sequencer with the real broker's stream below: each record verified, appended, confirmed. */
export async function benchAppends(): Promise<BenchResult[]> {
  const swarm = await startSwarm();
  try {
    await swarm.streams();
    const opened = await swarm.ledger();
    const source = await swarm.source(MEMBERS.camera);
    const signer = createRecordSigner({ source, clock: Date.now, random: randomOf });
    const payload = randomBytes(256);
    const draft = {
      aud: [MEMBERS.analyzer.id],
      sbj: `north.reading.${MEMBERS.camera.token}`,
      knd: 'root' as const,
      payload,
    };
    const rates = { single: [] as number[], batch: [] as number[] };
    const submit = async (records: readonly SignedRecord[]) => {
      const began = performance.now();
      const outcomes = await Promise.all(
        records.map(({ jws, salt, chain }) => {
          const submittedBy = MEMBERS.camera.id;
          return opened.ledger.submit({ submittedBy, jws, salt, chain, payload });
        }),
      );
      for (const outcome of outcomes) if (!outcome.ok) throw new Error(outcome.code);
      return records.length / ((performance.now() - began) / 1000);
    };
    for (let round = 0; round < ROUNDS; round += 1) {
      rates.single.push(await submit(Array.from({ length: RECORDS }, () => signer.sign(draft))));
      const batched: SignedRecord[] = [];
      while (batched.length < RECORDS) {
        batched.push(...signer.signBatch(Array.from({ length: BATCH }, () => draft)));
      }
      rates.batch.push(await submit(batched));
    }
    await opened.close();
    return [
      row('ledger: durable appends, records signed singly', median(rates.single), '1/s'),
      row(`ledger: durable appends, batches of ${BATCH}`, median(rates.batch), '1/s'),
    ];
  } finally {
    await swarm.stop();
  }
}

/** From a record's acceptance until the supervisor knows it cosigned by a quorum; a whole swarm, real processes. */
export async function benchCheckpointLag(): Promise<BenchResult[]> {
  return withSwarm(`rows: ${LAG_ROWS}, anomalies: 10, intervalMs: 10`, async (running) => {
    const waiting: { readonly index: number; readonly at: number }[] = [];
    const lags: number[] = [];
    const done = Promise.withResolvers<void>();
    const stop = running.ledger.onEntry(({ index, at }) => waiting.push({ index, at }));
    const timer = setInterval(() => {
      const size = running.witnessed().newest?.size ?? 0;
      while (waiting[0] !== undefined && waiting[0].index < size) {
        lags.push(Date.now() - (waiting.shift()?.at ?? 0));
      }
      if (lags.length >= 3 * LAG_ROWS) done.resolve();
    }, LOOK_MS);
    await done.promise;
    stop();
    clearInterval(timer);
    const sorted = lags.sort((a, b) => a - b);
    return [
      row(`checkpoint lag, p50 of ${sorted.length} entries`, percentile(sorted, 0.5), 'ms'),
      row('checkpoint lag, p99', percentile(sorted, 0.99), 'ms'),
    ];
  });
}
