import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { connectLauncherLink, type LauncherLink } from '#identity/issuer/launcher-link.ts';
import { Bench, sensorEntry, TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';
import { call, openSession } from '#test/identity/issuer/raw-client.ts';
import type { Measure } from './bus.ts';
import {
  entryToSvid,
  firstAnswers,
  jwtSvids,
  manyStreams,
  perSecond,
} from './identity/measures.ts';
import { pure } from './identity/pure.ts';
import { benchSpire } from './identity/spire.ts';

const BATCH = 200;
const ENTRIES = 300;
const PROGRAM = new URL('../identity/issuer/issuer-process.ts', import.meta.url).pathname;

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
  const since = performance.now();
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
  stream.cancel();
  session.destroy();
  return [
    { name: `X.509-SVIDs by the socket, attested, ${BATCH} at once`, value: issued, unit: '/s' },
    ...(await jwtSvids(socket)),
    ...(await firstAnswers(socket)),
    ...entryToSvid(times),
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
    figures.push(...(await throughSocket(link, socket)));
    figures.push(
      ...(await manyStreams(socket, issuer.pid ?? 0, async () => {
        const renewed = await link.setEntries(entriesOf(1, 601));
        if (!renewed.ok) throw new Error(renewed.detail);
      })),
    );
  } finally {
    issuer?.kill('SIGKILL');
    if (issuer !== undefined) await once(issuer, 'exit');
    await bench.stop();
  }
  return [...figures, ...(await benchSpire(figures))];
}
