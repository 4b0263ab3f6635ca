import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { connect } from '@nats-io/transport-node';
import { type NatsConnection, outgoing } from '#bus/client/nats.ts';
import { createSigning } from '#bus/client/signing.ts';
import { deliverySubject } from '#bus/subjects.ts';
import { encodeHeaders } from '#custody/headers.ts';
import { createRecordSigner } from '#custody/record/sign.ts';
import type { X509Source } from '#identity/svid.ts';
import { clientTls } from '#identity/tls.ts';
import { MEMBERS, randomOf, startSwarm, type TestSwarm } from '#test/support/swarm.ts';
import { keyPem } from '#test/support/test-ca.ts';
import { type BenchResult, median, row } from './measure.ts';
import type { Report, Road, Setup, Task } from './receiver.ts';
import { BATCH } from './records.ts';

const STATIC = { user: 'bench', password: 'bench' };
const ROUNDS = 3;
/** Messages of a round; a stream that is full, at 256 MiB, would take no more. */
const PLAIN = 8192;
const BATCHED = 4096;
const SINGLE = 512;

const ROADS: readonly Road[] = [
  {
    name: 'core',
    publish: `north.bench.${MEMBERS.camera.token}`,
    arrive: 'north.bench.*',
    reply: 'none',
  },
  {
    name: 'stream',
    publish: `north.reading.${MEMBERS.camera.token}`,
    arrive: deliverySubject(MEMBERS.analyzer, 'reading'),
    reply: 'broker',
  },
];

const turn = () => new Promise((resolve) => setImmediate(resolve));

interface Receiver {
  /** Resolves when it is subscribed, with the arrival of the last. */
  begin(task: Task): Promise<{ readonly arrived: Promise<void> }>;
  stop(): Promise<void>;
}

/** Reports in their order; rejects when the receiver fails or ends. */
function reportsOf(child: ChildProcess) {
  const come: Report[] = [];
  let wake = () => {};
  let ended: string | undefined;
  child.on('message', (report: Report) => {
    come.push(report);
    wake();
  });
  child.once('exit', (code, signal) => {
    ended = `the receiver ended: ${signal ?? code}`;
    wake();
  });
  return async function next(expected: Report): Promise<void> {
    while (come.length === 0 && ended === undefined) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const report = come.shift() ?? { failed: ended ?? 'nothing' };
    if (report !== expected) throw new Error(`bench: ${JSON.stringify(report)}`);
  };
}

async function startReceiver(swarm: TestSwarm): Promise<Receiver> {
  const { source, url, brokerId } = swarm.connection(await swarm.source(MEMBERS.analyzer));
  const { key, certificates, ...svid } = source.svid();
  const setup: Setup = {
    ...STATIC,
    url,
    brokerId,
    root: Buffer.from(swarm.ca.bundle.authorities[0]?.raw ?? []).toString('base64'),
    svid: {
      ...svid,
      key: keyPem(key),
      certificates: certificates.map((der) => Buffer.from(der).toString('base64')),
    },
  };
  const child = fork(fileURLToPath(new URL('receiver.ts', import.meta.url)), {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const next = reportsOf(child);
  child.send(setup);
  await next('connected');
  return {
    async begin(task) {
      child.send(task);
      await next('ready');
      return { arrived: next('arrived') };
    },
    async stop() {
      child.disconnect();
      await ended;
    },
  };
}

interface Ends {
  readonly source: X509Source;
  readonly from: NatsConnection;
  readonly receiver: Receiver;
}

/** Sender and receiver are processes of their own, each with its mTLS connection to a real broker. */
async function open(swarm: TestSwarm): Promise<Ends> {
  const { source, url, brokerId } = swarm.connection(await swarm.source(MEMBERS.camera));
  const from = await connect({
    servers: url,
    tls: clientTls(source, brokerId),
    user: STATIC.user,
    pass: STATIC.password,
    noAsyncTraces: true,
  });
  return { source, from, receiver: await startReceiver(swarm) };
}

/** Messages per second from the first publication to the last arrival. */
async function rate(
  { from, receiver }: Ends,
  task: Task,
  sendTurn: (count: number) => void,
): Promise<number> {
  const { arrived } = await receiver.begin(task);
  const began = performance.now();
  for (let sent = 0; sent < task.total; sent += BATCH) {
    sendTurn(BATCH);
    await turn();
    if (sent % 1024 === 0) await from.flush();
  }
  await arrived;
  return (task.total * 1000) / (performance.now() - began);
}

function plain(ends: Ends, road: Road, payload: Uint8Array): Promise<number> {
  return rate(ends, { road, total: PLAIN, judged: false }, (count) => {
    for (let n = 0; n < count; n += 1) ends.from.publish(road.publish, payload);
  });
}

/** Signed as the bus client signs, judged by the door: every message must pass. */
function signed(ends: Ends, road: Road, payload: Uint8Array, batches: boolean): Promise<number> {
  const { source, from } = ends;
  const signer = createRecordSigner({ source, clock: Date.now, random: randomOf });
  const signing = createSigning({ signer, defer: setImmediate });
  const draft = { aud: [MEMBERS.analyzer.id], sbj: road.publish, knd: 'root' as const, payload };
  let chain = true;
  const publish = (record: ReturnType<typeof signer.sign>) => {
    from.publish(road.publish, payload, { headers: outgoing(encodeHeaders(record, { chain })) });
    chain = false;
  };
  const task = { road, total: batches ? BATCHED : SINGLE, judged: true };
  return rate(ends, task, (count) => {
    for (let n = 0; n < count; n += 1) {
      if (batches) void signing.soon(draft, publish);
      else publish(signing.now(draft));
    }
  });
}

/** Signed messages beside plain ones in one run: through the broker alone, and through a stream. */
export async function benchEndToEnd(): Promise<BenchResult[]> {
  const swarm = await startSwarm({ staticUsers: [STATIC] });
  try {
    await swarm.streams();
    const ends = await open(swarm);
    const results: BenchResult[] = [];
    for (const road of ROADS) {
      for (const bytes of [256, 1024]) {
        const payload = randomBytes(bytes);
        const rates = { plain: [] as number[], batch: [] as number[], single: [] as number[] };
        // One after the other, again and again: what else the machine does meets all of them.
        for (let round = 0; round <= ROUNDS; round += 1) {
          const now = {
            plain: await plain(ends, road, payload),
            batch: await signed(ends, road, payload, true),
            single: await signed(ends, road, payload, false),
          };
          if (round === 0) continue;
          rates.plain.push(now.plain);
          rates.batch.push(now.batch);
          rates.single.push(now.single);
        }
        const of = `${road.name}, ${bytes} B`;
        const [most, batch, single] = [rates.plain, rates.batch, rates.single].map(median);
        results.push(
          row(`plain mTLS, ${of}`, most ?? Number.NaN, '1/s'),
          row(`signed in batches, ${of}`, batch ?? Number.NaN, '1/s'),
          row(`signed singly, ${of}`, single ?? Number.NaN, '1/s'),
          row(`batches in parts of plain, ${of}`, (batch ?? 0) / (most ?? 1), ''),
        );
      }
    }
    await ends.from.close();
    await ends.receiver.stop();
    return results;
  } finally {
    await swarm.stop();
  }
}
