import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { CHANNELS } from '#bus/telemetry.ts';
import { createCollector } from '#observability/collector.ts';
import { startTelemetry } from '#observability/process.ts';
import { createFileSink } from '#observability/sinks/file.ts';
import { MEMBERS, startSwarm } from '#test/support/swarm.ts';
import { MESSAGES, type Measure, signedRates } from './bus.ts';

const ROUNDS = 3;
const SPANS = 20_000;

interface Watched {
  readonly telemetry: ReturnType<typeof startTelemetry>;
  close(): Promise<{ readonly written: number; readonly dropped: number }>;
}

/** Everything from channel to file, the hand-over between processes as the JSON that it is. */
function watch(folder: string, name: string): Watched {
  const path = join(folder, `${name}.jsonl`);
  const collector = createCollector({
    namespace: 'bench',
    sinks: [createFileSink({ path, onTrouble: () => {} })],
    clock: () => performance.now(),
  });
  const source = { process: 'bench', pid: 1, role: 'bench', spiffeId: MEMBERS.camera.id };
  // Spans of two identities, as both run here: each is taken for what it says it is.
  const other = { ...source, spiffeId: MEMBERS.analyzer.id };
  const telemetry = startTelemetry({
    id: 'bench',
    role: 'bench',
    send: (message, written) => {
      const { spans, dropped } = JSON.parse(JSON.stringify(message)) as typeof message;
      const cameras = spans.filter((span) => span.attributes['spiffe.id'] === MEMBERS.camera.id);
      collector.accept(source, { spans: cameras, dropped });
      const rest = spans.filter((span) => !cameras.includes(span));
      collector.accept(other, { spans: rest, dropped: 0 });
      setImmediate(written);
      return true;
    },
  });
  return {
    telemetry,
    async close() {
      await telemetry.flush(10_000);
      telemetry.close();
      await collector.close();
      return collector.counts();
    },
  };
}

interface Rate {
  readonly perSecond: number;
  /** Milliseconds of processor time a message: says more than the clock on a machine that is busy. */
  readonly cpu: number;
}

async function handle(watched: Watched | undefined): Promise<Rate> {
  const swarm = await startSwarm();
  try {
    const options = watched === undefined ? {} : { propagate: watched.telemetry.propagate };
    const before = process.cpuUsage();
    const { handled } = await signedRates(swarm, options);
    await watched?.telemetry.flush(10_000);
    const { user, system } = process.cpuUsage(before);
    return { perSecond: handled, cpu: (user + system) / 1000 / MESSAGES };
  } finally {
    await swarm.stop();
  }
}

function median(rates: readonly Rate[], of: keyof Rate): number {
  const values = rates.map((rate) => rate[of]);
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** One process for all but the broker, so that every cost of telemetry falls on the same core. */
export async function benchTelemetry(): Promise<Measure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmproof-bench-'));
  try {
    const without: Rate[] = [];
    const having: Rate[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      without.push(await handle(undefined));
      const watched = watch(folder, `round-${round}`);
      having.push(await handle(watched));
      await watched.close();
    }
    const { telemetry, close } = watch(folder, 'spans');
    const started = performance.now();
    const hop = { identity: MEMBERS.camera.id, kind: 'reading', size: 256 };
    for (let index = 0; index < SPANS; index += 1) {
      await CHANNELS.send.tracePromise(async () => telemetry.propagate.inject(), { ...hop });
      if (index % 256 === 255) await telemetry.flush(1000);
    }
    const { written } = await close();
    const perSpan = ((performance.now() - started) * 1000) / written;
    const unheard = performance.now();
    for (let index = 0; index < SPANS; index += 1) {
      await CHANNELS.send.tracePromise(async () => [], { ...hop });
    }
    const perUnheard = ((performance.now() - unheard) * 1000) / SPANS;
    return [
      {
        name: 'signed messages handled, nobody watching',
        value: median(without, 'perSecond'),
        unit: '1/s',
      },
      {
        name: 'the same with spans of each, to the file',
        value: median(having, 'perSecond'),
        unit: '1/s',
      },
      {
        name: 'processor time a message without spans, of that with',
        value: median(without, 'cpu') / median(having, 'cpu'),
        unit: '',
      },
      { name: 'one span, from channel to file', value: perSpan, unit: 'µs' },
      { name: 'one hop on a channel that nobody hears', value: perUnheard, unit: 'µs' },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
