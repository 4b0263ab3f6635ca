import { join } from 'node:path';
import { openLink } from '#bus/client/link.ts';
import { createStreamStorage } from '#bus/ledger-storage.ts';
import { LEDGER_ENTRIES } from '#bus/subjects.ts';
import { createEntering } from '#cli/wiring/entering.ts';
import { createLedger } from '#custody/ledger/ledger.ts';
import { createStandingBook } from '#custody/log/standing.ts';
import { openStatement, signStatement } from '#custody/log/statement.ts';
import { noteSigner } from '#test/custody/log/support.ts';
import { MEMBERS, startSwarm as startBus } from '#test/support/swarm.ts';
import { ACTION, ANALYZER, folder, start, swarmFile } from '#test/swarm/city.ts';
import type { Measure } from './bus.ts';

const CONNECTIONS = 200;
const RENEWALS_MS = 45_000;
const attester = noteSigner('city.example/attester');

const percentile = (values: readonly number[], share: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
};

/**
 * One SVID after the other enters a real broker by a real gate: with its statement standing already,
 * and with the statement signed, verified, entered in a ledger on JetStream and heard of meanwhile.
 */
async function connections(): Promise<Measure[]> {
  const book = createStandingBook({ attesters: [attester.verifier], clock: Date.now });
  const bus = await startBus({ standing: book });
  const state = (svid: Awaited<ReturnType<typeof bus.source>>): string => {
    const { id, thumbprint, serial, notBefore, notAfter } = svid.svid();
    const [nbf, exp] = [notBefore.getTime() / 1000, notAfter.getTime() / 1000];
    const selectors = [`swarm:instance:${id}`];
    return signStatement({ kind: 'issuance', id, thumbprint, serial, nbf, exp, selectors }, [
      attester,
    ]);
  };
  const supervisor = await bus.source(MEMBERS.supervisor);
  book.add([state(supervisor)]);
  await bus.streams();
  const own = await bus.source(MEMBERS.ledger);
  book.add([state(own)]);
  const { client } = await bus.client(MEMBERS.ledger, { source: own });
  const storage = createStreamStorage({
    link: client.link,
    self: MEMBERS.ledger,
    stream: LEDGER_ENTRIES,
    nonce: 'bench',
    onForeign: (why) => {
      throw new Error(why);
    },
  });
  const ledger = createLedger({
    storage,
    clock: Date.now,
    verify: () => {
      throw new Error('no record is submitted here');
    },
    admits: (note) => openStatement(note, [attester.verifier], 1),
  });
  const entering = createEntering({
    clock: Date.now,
    send: (note) => {
      void ledger.enter(note).then((done) => done.ok && entering.entered(note));
    },
  });
  const times = { logged: [] as number[], already: [] as number[] };
  for (let count = 0; count < 2 * CONNECTIONS; count += 1) {
    const source = await bus.source(MEMBERS.camera);
    const which = count % 2 === 0 ? 'already' : 'logged';
    if (which === 'already') book.add([state(source)]);
    const began = performance.now();
    if (which === 'logged') {
      const note = state(source);
      entering.enter(note, () => book.add([note]));
    }
    const link = await openLink({ ...bus.connection(source), firstConnectMs: 0 });
    times[which].push(performance.now() - began);
    await link.close();
  }
  entering.close();
  await client.close();
  await bus.stop();
  return (['already', 'logged'] as const).flatMap((which) =>
    [0.5, 0.99].map((share) => ({
      name: `SVID to connected, statement ${which === 'logged' ? 'on its way' : 'there'}, p${share * 100}`,
      value: percentile(times[which], share),
      unit: 'ms',
    })),
  );
}

/** Real processes: from the issuer's word until every judge is told. */
async function renewals(): Promise<Measure[]> {
  const place = folder();
  const source = { kind: 'simulated', rows: 10 };
  const sensors = Array.from({ length: 8 }, (_, index) => `cam-${index + 1}`);
  const agents = sensors.map((name) => ({ role: 'sensor', name, source }));
  const file = swarmFile(place.path, [...agents, ANALYZER, ACTION], { svidTtl: '10s' });
  const running = await start({ file, runPath: join(place.path, 'run') });
  try {
    // Those at the start waited for the ledger itself to start.
    const before = running.issuances.status().delays.length;
    await new Promise((resolve) => setTimeout(resolve, RENEWALS_MS));
    const delays = running.issuances.status().delays.slice(before);
    return [
      { name: 'issued to standing in a swarm, p50', value: percentile(delays, 0.5), unit: 'ms' },
      { name: 'issued to standing in a swarm, p99', value: percentile(delays, 0.99), unit: 'ms' },
      { name: 'of so many issuances', value: delays.length, unit: '' },
    ];
  } finally {
    await running.stop();
    place.remove();
  }
}

/** What it costs that a certificate counts only when the ledger holds its issuance. */
export async function benchIssuance(): Promise<Measure[]> {
  return [...(await connections()), ...(await renewals())];
}
