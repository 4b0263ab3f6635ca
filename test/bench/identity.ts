import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { connectLauncherLink, type LauncherLink } from '#identity/issuer/launcher-link.ts';
import { Bench, sensorEntry, TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';
import { call, openSession } from '#test/identity/issuer/raw-client.ts';
import type { Measure } from './bus.ts';
import { part } from './identity/limits.ts';
import { additions, firstAnswers, jwtSvids, manyStreams, perSecond } from './identity/measures.ts';
import { pure } from './identity/pure.ts';
import { benchSpire } from './identity/spire.ts';

const BATCH = 200;
const ENTRIES = 200;
/** Beyond the least time between two messages of one stream. */
const APART_MS = [45, 80] as const;
const LIMIT_MS = 40_000;
const PROGRAM = new URL('../identity/issuer/issuer-process.ts', import.meta.url).pathname;

const entriesOf = (count: number, ttl: number) =>
  Array.from({ length: count }, (_, index) =>
    sensorEntry({
      spiffe_id: `spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-${index}`,
      x509_svid_ttl: ttl,
    }),
  );

interface Running {
  readonly link: LauncherLink;
  readonly socket: string;
  readonly pid: number;
}

async function setEntries(link: LauncherLink, count: number, ttl: number): Promise<void> {
  const done = await link.setEntries(entriesOf(count, ttl));
  if (!done.ok) throw new Error(done.detail);
}

async function batches({ link, socket }: Running): Promise<Measure[]> {
  const session = openSession(socket);
  const stream = call(session, 'FetchX509SVID');
  await stream.next();
  await setEntries(link, BATCH, 600);
  await stream.next();
  const since = performance.now();
  const rounds = 10;
  for (let round = 1; round <= rounds; round += 1) {
    await setEntries(link, BATCH, 600 + round);
    await stream.next();
  }
  const value = perSecond(rounds * BATCH, since);
  await setEntries(link, 1, 600);
  await stream.next();
  session.destroy();
  return [{ name: `X.509-SVIDs by the socket, attested, ${BATCH} at once`, value, unit: '/s' }];
}

/** Each is taken away when it has come, so that each issues one SVID and not one more than the last. */
function entries({ link, socket }: Running): Promise<Measure[]> {
  const ids = new Map<string, string>();
  return additions(socket, {
    entries: ENTRIES,
    apartMs: APART_MS,
    limitMs: LIMIT_MS,
    trustDomain: TRUST_DOMAIN,
    add: async (path) => {
      const added = await link.addEntries([
        sensorEntry({ spiffe_id: `spiffe://${TRUST_DOMAIN}${path}` }),
      ]);
      if (!added.ok) throw new Error(added.detail);
      ids.set(path, added.value.entries[0]?.entry.id ?? '');
    },
    // The answer of the link may be on its way when the SVID has come.
    seen: (path) => setTimeout(() => void link.removeEntry(ids.get(path) ?? ''), 5),
  });
}

/** Of an issuer in a process of its own, with its log on disk. */
async function ours(running: Running): Promise<Measure[]> {
  const { link, socket, pid } = running;
  const change = () => setEntries(link, 1, 601);
  await setEntries(link, 1, 600);
  return [
    ...(await part('batches', LIMIT_MS, () => batches(running))),
    ...(await part('JWT-SVIDs', LIMIT_MS, () => jwtSvids(socket))),
    ...(await part('first answers', LIMIT_MS, () => firstAnswers(socket))),
    ...(await part('many streams', LIMIT_MS, (signal) => manyStreams(socket, pid, change, signal))),
    ...(await part('entries', LIMIT_MS + 10_000, () => entries(running))),
  ];
}

/** The figures of the identity layer, each as it was measured and not as it was wished. */
export async function benchIdentity(): Promise<Measure[]> {
  const figures = [...(await pure())];
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
    figures.push(...(await ours({ link, socket, pid: issuer.pid ?? 0 })));
  } finally {
    issuer?.kill('SIGKILL');
    if (issuer !== undefined) await once(issuer, 'exit');
    await bench.stop();
  }
  return [...figures, ...(await benchSpire(figures))];
}
