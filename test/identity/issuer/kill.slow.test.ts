import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EntryInput } from '#identity/issuer/entry.ts';
import { connectLauncherLink, type LauncherLink } from '#identity/issuer/launcher-link.ts';
import { EMPTY_LOG, type LogHead, verifyLog } from '#identity/issuer/log.ts';
import { openStore } from '#identity/issuer/store.ts';
import {
  JWTSVIDRequestSchema,
  JWTSVIDResponseSchema,
} from '#identity/workload-api/generated/workload_pb.ts';
import { buildImage } from '#test/runtime/support.ts';
import { Bench, keyPair, sensorEntry, TRUST_DOMAIN } from './harness.ts';
import { call, encode, openSession, readSvids } from './raw-client.ts';

/** Where each life ends; a failure names the seed that repeats it: SWARMPROOF_SEED=N. */
const SEED = Number(process.env.SWARMPROOF_SEED ?? randomInt(2 ** 31));
const KILLS = 100;
const NATS = `spiffe://${TRUST_DOMAIN}/platform/nats`;

/** mulberry32: small, seedable, good enough to choose moments. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const bench = new Bench();
const state = join(bench.folder, 'state');
const socket = join(bench.folder, 'run', 'api.sock');
let program = '';
beforeAll(async () => {
  mkdirSync(join(bench.folder, 'run'), { mode: 0o700 });
  const { image } = await buildImage(
    bench.folder,
    'test/identity/issuer/issuer-process.ts',
    'issuer',
  );
  program = join(image, 'main.mjs');
});
let issuer: ChildProcess | undefined;
afterAll(async () => {
  if (issuer !== undefined) await kill(issuer);
  await bench.stop();
});

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

async function start(): Promise<LauncherLink> {
  const spki = (key: typeof bench.ci.publicKey) =>
    key.export({ type: 'spki', format: 'der' }).toString('base64');
  const keys = [spki(bench.launcher.publicKey), spki(bench.ci.publicKey)];
  const child = spawn(process.execPath, ['--no-warnings', program, bench.folder, ...keys], {
    stdio: ['ignore', 'pipe', 'inherit', 'ignore', 'pipe'],
  });
  issuer = child;
  if (child.stdout === null) throw new Error('no stdout');
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error('the issuer did not come up again'))),
  ]);
  return connectLauncherLink(child.stdio[4] as Duplex, bench.launcher.privateKey);
}

const thumbprint = (bytes: Uint8Array | string): string =>
  createHash('sha256').update(bytes).digest('base64url');

/** What clients have in hand, and what the launcher and the operator were told is done. */
interface Known {
  readonly received: ReadonlySet<string>;
  receive(bytes: Uint8Array | string): void;
  /** Resolves when something more was received. */
  news(): Promise<void>;
  /** Of the swarm file: the set that was acknowledged last, and one that may be either way. */
  acknowledged: string[];
  underWay: string[] | undefined;
  /** Added by the operator, each acknowledged. */
  readonly added: Set<string>;
  /** Removed again by the operator, each acknowledged. */
  readonly removed: Set<string>;
  /** How many of those received were minted for a key of the launcher's. */
  minted: number;
}

function createKnown(): Known {
  const received = new Set<string>();
  let wake = Promise.withResolvers<void>();
  return {
    received,
    receive: (bytes) => {
      received.add(thumbprint(bytes));
      wake.resolve();
      wake = Promise.withResolvers();
    },
    news: () => wake.promise,
    acknowledged: [],
    underWay: undefined,
    added: new Set(),
    removed: new Set(),
    minted: 0,
  };
}

const entriesOf = (round: number, count: number): EntryInput[] =>
  Array.from({ length: count }, (_, index) =>
    sensorEntry({
      spiffe_id: `spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-${index}`,
      x509_svid_ttl: 20 + (round % 600),
    }),
  );
const nameOf = (entry: Pick<EntryInput, 'spiffe_id' | 'x509_svid_ttl'>): string =>
  `${entry.spiffe_id} ${entry.x509_svid_ttl}`;

/** Works until the link breaks: whatever is asked of an issuer, at once and without a pause. */
async function work(link: LauncherLink, known: Known, next: () => number): Promise<void> {
  const session = openSession(socket);
  const stream = call(session, 'FetchX509SVID');
  const svids = async (): Promise<void> => {
    for (let message = await stream.next(); message !== undefined; message = await stream.next()) {
      for (const { leaf } of readSvids(message)) known.receive(leaf);
    }
  };
  let over = false;
  void link.closed.then(() => {
    over = true;
  });
  const tokens = async (): Promise<void> => {
    while (!over) {
      const request = encode(JWTSVIDRequestSchema, {
        $typeName: 'JWTSVIDRequest',
        audience: [`audience-${Math.floor(next() * 1e9)}`],
        spiffeId: '',
      });
      const asked = call(session, 'FetchJWTSVID', { 'workload.spiffe.io': 'true' }, request);
      const answer = await asked.next();
      if (answer === undefined) return;
      for (const { svid } of fromBinary(JWTSVIDResponseSchema, answer).svids) {
        known.receive(svid);
      }
    }
  };
  const rollouts = async (): Promise<void> => {
    while (!over) {
      const entries = entriesOf(Math.floor(next() * 600), 1 + Math.floor(next() * 6));
      known.underWay = entries.map(nameOf);
      const set = await link.setEntries(entries);
      if (!set.ok) return;
      known.acknowledged = entries.map(nameOf);
      known.underWay = undefined;
    }
  };
  const operator = async (): Promise<void> => {
    while (!over) {
      const spiffe_id = `spiffe://${TRUST_DOMAIN}/job/${Math.floor(next() * 1e9)}`;
      // For somebody else: the log is to grow by what is killed, not by what was added before.
      const selectors = [{ type: 'swarm', value: 'instance:another' }];
      const done = await link.addEntries([sensorEntry({ spiffe_id, selectors })]);
      if (!done.ok) return;
      known.added.add(spiffe_id);
      const [{ entry } = { entry: undefined }] = done.value.entries;
      if (entry !== undefined && next() < 0.3) {
        // Either way until it is acknowledged.
        known.added.delete(spiffe_id);
        if (!(await link.removeEntry(entry.id)).ok) return;
        known.removed.add(spiffe_id);
      }
      await delay(20);
    }
  };
  const mints = async (): Promise<void> => {
    const { publicKey } = keyPair();
    const key = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
    while (!over) {
      const minted = await link.mint({ spiffeId: NATS, publicKey: key, ttl: 3600 });
      if (!minted.ok) return;
      known.receive(minted.value.chain[0] ?? new Uint8Array());
      known.minted += 1;
      await delay(5);
    }
  };
  await Promise.all([svids(), tokens(), rollouts(), operator(), mints()]);
  session.destroy();
}

test(`killed with -9 ${KILLS} times while it issues, it loses no SVID that anybody has, no entry and no authority`, {
  timeout: 900_000,
}, async () => {
  const next = random(SEED);
  const known = createKnown();
  const logged = new Set<string>();
  let head: LogHead = EMPTY_LOG;
  let authorities: unknown;
  for (let life = 1; life <= KILLS; life += 1) {
    const which = `seed ${SEED}, kill ${life}`;
    const link = await start();
    const attested = await link.attest(bench.claims(process.pid));
    expect([which, attested]).toMatchObject([which, { ok: true }]);
    const working = work(link, known, next);
    // Not a time but work done: on a busy machine too it is killed while it issues.
    const least = known.received.size + Math.floor(next() * 24);
    while (known.received.size < least) await known.news();
    await delay(next() * 4);
    if (issuer !== undefined) await kill(issuer);
    await link.closed;
    await working;

    // Opening checks the chain of the whole log: every restart of the issuer does it too.
    const store = openStore(state);
    if (!store.ok) throw new Error(`${which}: ${store.detail}`);
    try {
      const rows = store.value.log();
      const newer = verifyLog(rows.slice(head.seq), head);
      if (!newer.ok) throw new Error(`${which}: what was in the log is not in it any more`);
      for (const { body } of rows.slice(head.seq)) logged.add(JSON.parse(body).thumbprint);
      head = newer.value;
      const missing = [...known.received].filter((print) => !logged.has(print));
      expect([which, missing]).toEqual([which, []]);
      // Nobody has acknowledged anything: all of it waits for the ledger.
      expect([which, store.value.pending(rows.length + 1).length]).toEqual([which, rows.length]);

      const stored = store.value.entries();
      const ofFile = stored
        .filter(({ origin }) => origin === 'file')
        .map(({ entry }) => nameOf(entry));
      const possible = [known.acknowledged, known.underWay ?? known.acknowledged];
      expect(possible.map((set) => set.toSorted().join())).toContain(ofFile.toSorted().join());
      known.acknowledged = ofFile;
      known.underWay = undefined;
      const there = new Set(stored.map(({ entry }) => entry.spiffe_id as string));
      expect([which, [...known.added].filter((id) => !there.has(id))]).toEqual([which, []]);
      expect([which, [...known.removed].filter((id) => there.has(id))]).toEqual([which, []]);

      const now = [store.value.authorities(), store.value.jwtAuthorities()];
      authorities ??= now;
      expect([which, now]).toEqual([which, authorities]);
    } finally {
      store.value.close();
    }
  }
  // It was killed at work, not at rest.
  expect(known.received.size).toBeGreaterThan(KILLS);
  expect(known.minted).toBeGreaterThan(KILLS / 4);
  expect(known.removed.size).toBeGreaterThan(0);
  expect(head.seq).toBeGreaterThanOrEqual(known.received.size);
  process.stdout.write(
    `${KILLS} kills, seed ${SEED}: ${known.received.size} SVIDs received, ${head.seq} logged, ${known.minted} of them minted, ${known.added.size} entries added and ${known.removed.size} removed\n`,
  );
});
