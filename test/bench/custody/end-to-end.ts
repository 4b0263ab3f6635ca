import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { connect } from '@nats-io/transport-node';
import { createCertificateCache } from '#bus/certificates.ts';
import { incoming, type NatsConnection, outgoing } from '#bus/client/nats.ts';
import { createSigning } from '#bus/client/signing.ts';
import { createDirectory } from '#bus/directory.ts';
import { createDoor } from '#bus/door.ts';
import { deliverySubject } from '#bus/subjects.ts';
import { encodeHeaders } from '#custody/headers.ts';
import { createRecordSigner } from '#custody/record/sign.ts';
import { clientTls } from '#identity/tls.ts';
import { MEMBERS, randomOf, startSwarm, type TestSwarm } from '#test/support/swarm.ts';
import { type BenchResult, median, row } from './measure.ts';
import { BATCH } from './records.ts';

const STATIC = { user: 'bench', password: 'bench' };
const ROUNDS = 3;
/** Messages of a round; a stream that is full, at 256 MiB, would take no more. */
const PLAIN = 8192;
const BATCHED = 4096;
const SINGLE = 512;

/** Where messages are published, and where they arrive. */
interface Road {
  readonly name: string;
  readonly publish: string;
  readonly arrive: string;
  readonly reply: 'none' | 'broker';
}

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

/** Both ends are in this process, each with its own mTLS connection; the broker is a real one. */
async function open(swarm: TestSwarm) {
  const { source, url, brokerId } = swarm.connection(await swarm.source(MEMBERS.camera));
  const dial = () =>
    connect({
      servers: url,
      tls: clientTls(source, brokerId),
      user: STATIC.user,
      pass: STATIC.password,
      noAsyncTraces: true,
    });
  return { source, from: await dial(), to: await dial() };
}

interface Ends {
  readonly from: NatsConnection;
  readonly to: NatsConnection;
}

/** Messages per second from the first publication to the last arrival. */
async function rate(
  { from, to }: Ends,
  road: Road,
  total: number,
  take: (message: Parameters<typeof incoming>[0]) => void,
  sendTurn: (count: number) => void,
): Promise<number> {
  let arrived = 0;
  const all = Promise.withResolvers<void>();
  const subscription = to.subscribe(road.arrive, {
    callback: (_error, message) => {
      try {
        take(message);
      } catch (error) {
        all.reject(error);
      }
      arrived += 1;
      if (arrived === total) all.resolve();
    },
  });
  await to.flush();
  const began = performance.now();
  for (let sent = 0; sent < total; sent += BATCH) {
    sendTurn(BATCH);
    await turn();
    if (sent % 1024 === 0) await from.flush();
  }
  await all.promise;
  const seconds = (performance.now() - began) / 1000;
  subscription.unsubscribe();
  await to.flush();
  return total / seconds;
}

function plain(ends: Ends, road: Road, payload: Uint8Array): Promise<number> {
  const send = (count: number) => {
    for (let n = 0; n < count; n += 1) ends.from.publish(road.publish, payload);
  };
  return rate(ends, road, PLAIN, () => {}, send);
}

/** Signed as the bus client signs, judged by the door: every message must pass. */
function signed(
  ends: Awaited<ReturnType<typeof open>>,
  road: Road,
  payload: Uint8Array,
  batches: boolean,
): Promise<number> {
  const { source, from } = ends;
  const signer = createRecordSigner({ source, clock: Date.now, random: randomOf });
  const signing = createSigning({ signer, defer: setImmediate });
  const channel = createDoor({
    self: MEMBERS.analyzer,
    directory: createDirectory(Object.values(MEMBERS)),
    certificates: createCertificateCache({ bundles: () => source.bundles() }),
    clock: Date.now,
    startedAt: 0,
  }).channel({ subject: road.publish, kinds: ['root'], reply: road.reply });
  const draft = { aud: [MEMBERS.analyzer.id], sbj: road.publish, knd: 'root' as const, payload };
  let chain = true;
  const publish = (record: ReturnType<typeof signer.sign>) => {
    from.publish(road.publish, payload, { headers: outgoing(encodeHeaders(record, { chain })) });
    chain = false;
  };
  const send = (count: number) => {
    for (let n = 0; n < count; n += 1) {
      if (batches) void signing.soon(draft, publish);
      else publish(signing.now(draft));
    }
  };
  const take = (message: Parameters<typeof incoming>[0]) => {
    const verdict = channel.check(incoming(message));
    if (!verdict.ok) throw new Error(`${verdict.code}: ${verdict.detail}`);
  };
  return rate(ends, road, batches ? BATCHED : SINGLE, take, send);
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
    await ends.to.close();
    return results;
  } finally {
    await swarm.stop();
  }
}
