import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import type { ClientHttp2Session } from 'node:http2';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { create } from '@bufbuild/protobuf';
import { createAuthority } from '#identity/issuer/authority.ts';
import { connectLauncherLink, type LauncherLink } from '#identity/issuer/launcher-link.ts';
import { issueLeaf } from '#identity/issuer/leaf.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { JWTSVIDRequestSchema } from '#identity/workload-api/generated/workload_pb.ts';
import { pssKiB } from '#runtime/process-info.ts';
import { Bench, sensorEntry, TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';
import { call, encode, openSession } from '#test/identity/issuer/raw-client.ts';
import type { Measure } from './bus.ts';

const SECONDS = 2;
const BATCH = 200;
const ENTRIES = 300;
const STREAMS = 1000;
const STREAMS_PER_CONNECTION = 16;
const PROGRAM = new URL('../identity/issuer/issuer-process.ts', import.meta.url).pathname;
const HEADER = { 'workload.spiffe.io': 'true' };

const perSecond = (count: number, since: number): number =>
  (count * 1000) / (performance.now() - since);

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** A second of one core, nothing but the function: key pair, certificate, PKCS#8. */
async function pure(): Promise<Measure[]> {
  const authority = await createAuthority(TRUST_DOMAIN, new Date(), randomBytes(16));
  const id = spiffeId(`spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-1`);
  const sign = (publicKey: KeyObject) =>
    issueLeaf({ id, publicKey, ttlSeconds: 20 }, authority, new Date(), randomBytes(16));
  const whole = (): void => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    sign(publicKey);
    privateKey.export({ type: 'pkcs8', format: 'der' });
  };
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const rate = (work: () => unknown): number => {
    const warm = performance.now() + 500;
    while (performance.now() < warm) work();
    // By the processor's time: on a busy machine the core is not ours alone.
    const since = performance.now();
    const before = process.cpuUsage();
    let count = 0;
    for (; performance.now() < since + SECONDS * 1000; count += 1) work();
    const { user, system } = process.cpuUsage(before);
    return (count * 1_000_000) / (user + system);
  };
  return [
    { name: 'X.509-SVIDs on one core: key, certificate, PKCS#8', value: rate(whole), unit: '/s' },
    {
      name: 'certificates on one core, over a given key',
      value: rate(() => sign(publicKey)),
      unit: '/s',
    },
  ];
}

const entriesOf = (count: number, ttl: number) =>
  Array.from({ length: count }, (_, index) =>
    sensorEntry({
      spiffe_id: `spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-${index}`,
      x509_svid_ttl: ttl,
    }),
  );

/** Through the socket of an issuer in a process of its own, with its log on disk. */
async function throughSocket(link: LauncherLink, socket: string): Promise<Measure[]> {
  const set = async (count: number, ttl: number): Promise<void> => {
    const done = await link.setEntries(entriesOf(count, ttl));
    if (!done.ok) throw new Error(done.detail);
  };
  await set(1, 600);
  const session = openSession(socket);
  const stream = call(session, 'FetchX509SVID');
  await stream.next();

  await set(BATCH, 600);
  await stream.next();
  let since = performance.now();
  const rounds = 10;
  for (let round = 1; round <= rounds; round += 1) {
    await set(BATCH, 600 + round);
    await stream.next();
  }
  const issued = perSecond(rounds * BATCH, since);
  await set(1, 600);
  await stream.next();

  const times: number[] = [];
  for (let index = 0; index < ENTRIES; index += 1) {
    const began = performance.now();
    const added = await link.addEntries([
      sensorEntry({ spiffe_id: `spiffe://${TRUST_DOMAIN}/job/${index}` }),
    ]);
    await stream.next();
    times.push(performance.now() - began);
    if (!added.ok) throw new Error(added.detail);
    const [one] = added.value.entries;
    // Taken away again, so that each addition issues one SVID and not one more than the last.
    await link.removeEntry(one?.entry.id ?? '');
    await stream.next();
  }
  times.sort((a, b) => a - b);

  // Below what one process may have in a minute.
  const tokens = 500;
  let asked = 0;
  since = performance.now();
  const asking = async (): Promise<void> => {
    for (; asked < tokens; ) {
      asked += 1;
      const request = create(JWTSVIDRequestSchema, { audience: [`audience-${asked}`] });
      const one = call(session, 'FetchJWTSVID', HEADER, encode(JWTSVIDRequestSchema, request));
      if ((await one.next()) === undefined) throw new Error(`no token: ${await one.status}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, asking));
  const jwt = perSecond(tokens, since);
  stream.cancel();
  session.destroy();

  const connections = 300;
  since = performance.now();
  for (let index = 0; index < connections; index += 1) {
    const one = openSession(socket);
    await call(one, 'FetchX509SVID').next();
    one.destroy();
  }
  return [
    { name: `X.509-SVIDs by the socket, attested, ${BATCH} at once`, value: issued, unit: '/s' },
    { name: 'JWT-SVIDs by the socket, attested each, 8 at a time', value: jwt, unit: '/s' },
    {
      name: 'connect, be attested, have the SVID that there is; one at a time',
      value: perSecond(connections, since),
      unit: '/s',
    },
    { name: 'entry added → SVID in hand, p50', value: percentile(times, 0.5), unit: 'ms' },
    { name: 'entry added → SVID in hand, p99', value: percentile(times, 0.99), unit: 'ms' },
  ];
}

/** As many streams as one process may have; each is attested again and served anew. */
async function manyStreams(link: LauncherLink, socket: string, pid: number): Promise<Measure[]> {
  const set = await link.setEntries(entriesOf(1, 600));
  if (!set.ok) throw new Error(set.detail);
  const before = pssKiB(pid) ?? Number.NaN;
  const sessions: ClientHttp2Session[] = [];
  const streams = Array.from({ length: STREAMS }, (_, index) => {
    if (index % STREAMS_PER_CONNECTION === 0) sessions.push(openSession(socket));
    const session = sessions.at(-1);
    if (session === undefined) throw new Error('no session');
    return call(session, 'FetchX509SVID');
  });
  const everybody = async (): Promise<void> => {
    const got = await Promise.all(streams.map((stream) => stream.next()));
    if (got.includes(undefined)) throw new Error('a stream ended');
  };
  await everybody();
  const perStream = ((pssKiB(pid) ?? Number.NaN) - before) / STREAMS;
  const since = performance.now();
  const renewed = await link.setEntries(entriesOf(1, 601));
  if (!renewed.ok) throw new Error(renewed.detail);
  await everybody();
  const last = performance.now() - since;
  for (const session of sessions) session.destroy();
  return [
    {
      name: `${STREAMS} streams renewed at once: the last has its SVID after`,
      value: last,
      unit: 'ms',
    },
    { name: `memory of the issuer per stream, of ${STREAMS}`, value: perStream, unit: 'KiB' },
  ];
}

/** The figures of the identity layer, each as it was measured and not as it was wished. */
export async function benchIdentity(): Promise<Measure[]> {
  const figures = await pure();
  const bench = new Bench();
  let issuer: ChildProcess | undefined;
  try {
    mkdirSync(join(bench.folder, 'run'), { mode: 0o700 });
    const socket = join(bench.folder, 'run', 'api.sock');
    const keys = [bench.launcher.publicKey, bench.ci.publicKey].map((key) =>
      key.export({ type: 'spki', format: 'der' }).toString('base64'),
    );
    issuer = spawn(process.execPath, ['--no-warnings', PROGRAM, bench.folder, ...keys], {
      stdio: ['ignore', 'pipe', 'inherit', 'ignore', 'pipe'],
    });
    if (issuer.stdout === null) throw new Error('no stdout');
    await once(issuer.stdout, 'data');
    const link = connectLauncherLink(issuer.stdio[4] as Duplex, bench.launcher.privateKey);
    const attested = await link.attest(bench.claims(process.pid));
    if (!attested.ok) throw new Error(attested.detail);
    figures.push(...(await throughSocket(link, socket)));
    figures.push(...(await manyStreams(link, socket, issuer.pid ?? 0)));
    return figures;
  } finally {
    issuer?.kill('SIGKILL');
    if (issuer !== undefined) await once(issuer, 'exit');
    await bench.stop();
  }
}
