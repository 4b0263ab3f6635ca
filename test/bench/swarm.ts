import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { isAction, isReading } from '#cli/demo/observations.ts';
import { whenIdle } from '#cli/wiring/idle.ts';
import { buildImages } from '#cli/wiring/images.ts';
import { type RunningSwarm, startSwarm } from '#cli/wiring/swarm.ts';
import { natsServer } from '#test/tools.ts';
import type { Measure } from './bus.ts';

const SMART_CITY = new URL('../../swarms/smart-city.yaml', import.meta.url).pathname;

/** The smart city with other sources: every sensor's rows, pace and incidents. */
function variant(folder: string, source: string): string {
  const text = readFileSync(SMART_CITY, 'utf8').replaceAll(
    /source: \{[^}]*seed: (\d+)[^}]*\}/g,
    (_all, seed: string) => `source: { kind: simulated, seed: ${seed}, ${source} }`,
  );
  const file = join(folder, 'swarm.yaml');
  writeFileSync(file, text);
  return file;
}

export async function withSwarm<T>(
  source: string,
  use: (running: RunningSwarm, startMs: number) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmproof-bench-'));
  const began = performance.now();
  const running = await startSwarm({
    file: variant(folder, source),
    inputs: [],
    runPath: join(folder, 'run'),
    runId: 'bench',
    natsServer: natsServer(),
    opa: undefined,
  });
  try {
    return await use(running, performance.now() - began);
  } finally {
    await running.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

export const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;

/** From the ledger's clock: an action's entry less the entry of the reading it goes back to. */
function latencies(running: RunningSwarm): readonly number[] {
  const { ledger } = running;
  return ledger
    .list({ kind: 'act', limit: Number.MAX_SAFE_INTEGER })
    .filter(isAction)
    .map((action) => {
      const readings = ledger.ancestry(action.record.id).flatMap(({ id, at }) => {
        const entry = ledger.get(id);
        return entry !== undefined && isReading(entry) && at !== undefined ? [at] : [];
      });
      return action.at - Math.max(...readings);
    })
    .sort((a, b) => a - b);
}

/** The whole swarm, real processes: start, throughput, latency, memory. */
export async function benchSwarm(): Promise<Measure[]> {
  await buildImages(() => {});
  const paced = await withSwarm(
    'rows: 1650, anomalies: 25, intervalMs: 10',
    async (running, startMs) => {
      const began = performance.now();
      await running.ledger.entry(isReading);
      const firstMs = performance.now() - began;
      const { pssKiB } = running.status();
      await whenIdle(running);
      const sorted = latencies(running);
      return [
        { name: 'start to every process ready', value: startMs / 1000, unit: 's' },
        { name: 'start to first verified message', value: (startMs + firstMs) / 1000, unit: 's' },
        { name: 'PSS of everything', value: (pssKiB ?? Number.NaN) / 1024, unit: 'MiB' },
        {
          name: `reading to action, p50 of ${sorted.length}`,
          value: percentile(sorted, 0.5),
          unit: 'ms',
        },
        { name: 'reading to action, p99', value: percentile(sorted, 0.99), unit: 'ms' },
      ];
    },
  );
  const fast = await withSwarm('rows: 3000', async (running) => {
    const { ledger } = running;
    await whenIdle(running);
    const readings = ledger
      .list({ kind: 'root', limit: Number.MAX_SAFE_INTEGER })
      .filter(isReading);
    const [first, last] = [readings[0], readings.at(-1)];
    const seconds = ((last?.at ?? 0) - (first?.at ?? 0)) / 1000;
    return [
      {
        name: 'readings end to end, signed, acknowledged, recorded',
        value: readings.length / seconds,
        unit: '/s',
      },
    ];
  });
  return [...paced, ...fast];
}
