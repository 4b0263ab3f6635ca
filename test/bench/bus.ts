import { performance } from 'node:perf_hooks';
import { connect } from '@nats-io/transport-node';
import type { BusClientOptions } from '#bus/client/bus-client.ts';
import { connectNats, type NatsConnection, outgoing } from '#bus/client/nats.ts';
import { encodeHeaders } from '#custody/headers.ts';
import { createRecordSigner } from '#custody/record/sign.ts';
import { clientTls } from '#identity/tls.ts';
import { MEMBERS, randomOf, startSwarm, type TestSwarm } from '#test/support/swarm.ts';

export interface Measure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

const STATIC = { user: 'bench', password: 'bench' };
const CONNECTS = 200;
const PARALLEL = 8;
export const MESSAGES = 3000;
const PAYLOAD = Buffer.from(JSON.stringify({ id: 1, note: 'x'.repeat(230) }));

/** `CONNECTS` connections, `PARALLEL` at a time; per second. */
async function connectRate(open: () => Promise<NatsConnection>): Promise<number> {
  let left = CONNECTS;
  const all: NatsConnection[] = [];
  const started = performance.now();
  await Promise.all(
    Array.from({ length: PARALLEL }, async () => {
      while (left > 0) {
        left -= 1;
        all.push(await open());
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  await Promise.all(all.map((nats) => nats.close()));
  return CONNECTS / seconds;
}

type Connection = ReturnType<TestSwarm['connection']>;

function openStatic({ source, url, brokerId }: Connection): Promise<NatsConnection> {
  const tls = clientTls(source, brokerId);
  return connect({ servers: url, tls, user: STATIC.user, pass: STATIC.password });
}

/** The same bytes (payload, record, salt) over plain mTLS NATS, published and received; per second. */
async function plainRate(swarm: TestSwarm): Promise<number> {
  const connection = swarm.connection(await swarm.source(MEMBERS.camera));
  const { source } = connection;
  const signer = createRecordSigner({ source, clock: Date.now, random: randomOf });
  const record = signer.sign({
    aud: [MEMBERS.analyzer.id],
    sbj: 'north.reading.sensor-cam-1',
    knd: 'root',
    payload: PAYLOAD,
  });
  const headers = outgoing(encodeHeaders(record, { chain: false }));
  const [from, to] = [await openStatic(connection), await openStatic(connection)];
  const total = MESSAGES * 5;
  const received = (async () => {
    for await (const _ of to.subscribe('bench.plain', { max: total }));
  })();
  await to.flush();
  const started = performance.now();
  for (let n = 0; n < total; n += 1) {
    from.publish('bench.plain', PAYLOAD, { headers });
    if (n % 500 === 499) await from.flush();
  }
  await received;
  const rate = total / ((performance.now() - started) / 1000);
  await from.close();
  await to.close();
  return rate;
}

/** Signed, through stream and door, handled, acknowledged, and in the ledger; per second. */
export async function signedRates(
  swarm: TestSwarm,
  options: Pick<Partial<BusClientOptions>, 'propagate'> = {},
  /** Messages sent in one turn of the event loop, under one signature. */
  together = 1,
): Promise<{ handled: number; confirmed: number }> {
  await swarm.streams();
  const ledger = await swarm.ledger();
  const analyzer = await swarm.client(MEMBERS.analyzer, options);
  const camera = await swarm.client(MEMBERS.camera, {
    ...options,
    maxOutstanding: 2000,
    maxUnconfirmed: 8000,
  });
  let handled = 0;
  let done: () => void = () => undefined;
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  analyzer.client.consume({
    kind: 'reading',
    handler: () => {
      handled += 1;
      if (handled === MESSAGES) done();
    },
  });
  const started = performance.now();
  const draft = { kind: 'reading', audience: [MEMBERS.analyzer.id], payload: PAYLOAD };
  for (let n = 0; n < MESSAGES; n += together) {
    const send = () => camera.client.send({ ...draft, recordKind: 'root' });
    await Promise.all(Array.from({ length: together }, send));
  }
  await all;
  const handledIn = (performance.now() - started) / 1000;
  await camera.client.flush();
  const confirmedIn = (performance.now() - started) / 1000;
  await camera.client.close();
  await analyzer.client.close();
  await ledger.close();
  return { handled: MESSAGES / handledIn, confirmed: MESSAGES / confirmedIn };
}

/** Broker, gate, clients and ledger on this machine; all but the broker in one process. */
export async function benchBus(): Promise<Measure[]> {
  const swarm = await startSwarm({ staticUsers: [STATIC] });
  try {
    const from = swarm.connection(await swarm.source(MEMBERS.camera));
    const byGate = await connectRate(() => connectNats(from));
    const byList = await connectRate(() => openStatic(from));
    const plain = await plainRate(swarm);
    const { handled, confirmed } = await signedRates(swarm);
    const batched = await signedRates(swarm, {}, 60);
    const unit = '1/s';
    return [
      { name: 'connects through the gate (mTLS, auth callout)', value: byGate, unit },
      { name: 'connects of static users (mTLS, password)', value: byList, unit },
      { name: 'same bytes, plain mTLS NATS, one process', value: plain, unit },
      { name: 'signed messages handled, one process', value: handled, unit },
      {
        name: 'signed messages acknowledged and in the ledger, one process',
        value: confirmed,
        unit,
      },
      { name: 'sent by 60, one signature: handled', value: batched.handled, unit },
      { name: 'sent by 60: acknowledged and in the ledger', value: batched.confirmed, unit },
    ];
  } finally {
    await swarm.stop();
  }
}
