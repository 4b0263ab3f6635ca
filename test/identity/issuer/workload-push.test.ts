import type { ClientHttp2Session } from 'node:http2';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isOnDemand } from '#identity/attestors/unix.ts';
import { createChanges } from '#identity/issuer/changes.ts';
import { Bench, sensorEntry, storedEntry, TRUST_DOMAIN } from './harness.ts';
import { call, GRPC, openSession, readBundles, readJwtBundles, readSvids } from './raw-client.ts';
import { goOn, pass, passUntil, standStill } from './time.ts';

const SENSOR = sensorEntry().spiffe_id;
const HOUR = 3_600_000;

describe('what is pushed, and when', () => {
  let bench: Bench;
  let session: ClientHttp2Session;
  let now: Date;
  beforeEach(async () => {
    bench = new Bench();
    now = new Date();
    await bench.start({ clock: () => now });
    await bench.attestSelf();
    session = openSession(bench.socketPath);
  });
  afterEach(async () => {
    goOn();
    session.destroy();
    await bench.stop();
  });
  const next = async (stream: ReturnType<typeof call>) => readSvids(await stream.next());

  test('each message is the whole set, in the order of the entries; the first is the default (A-02, A-05)', async () => {
    const add = async (path: string) =>
      bench.link.addEntries([
        sensorEntry({ spiffe_id: `spiffe://${TRUST_DOMAIN}${path}`, x509_svid_ttl: 600 }),
      ]);
    await add('/one');
    const stream = call(session, 'FetchX509SVID');
    expect((await next(stream)).map(({ id }) => id)).toEqual([`spiffe://${TRUST_DOMAIN}/one`]);
    now = new Date(now.getTime() + 2000);
    await add('/another');
    expect((await next(stream)).map(({ id }) => id)).toEqual([
      `spiffe://${TRUST_DOMAIN}/one`,
      `spiffe://${TRUST_DOMAIN}/another`,
    ]);
  });

  test('of two entries with one hint the older is given, and the younger when that goes (A-06)', async () => {
    const hinted = (path: string) => sensorEntry({ spiffe_id: `${SENSOR}${path}`, hint: 'main' });
    const old = await bench.link.addEntries([hinted('-old')]);
    now = new Date(now.getTime() + 2000);
    await bench.link.addEntries([hinted('-young')]);
    const stream = call(session, 'FetchX509SVID');
    expect((await next(stream)).map(({ id }) => id)).toEqual([`${SENSOR}-old`]);
    await bench.link.removeEntry(old.ok ? (old.value.entries[0]?.entry.id ?? '') : '');
    expect((await next(stream)).map(({ id }) => id)).toEqual([`${SENSOR}-young`]);
  });

  test('the caller is looked at again before each message: a change that comes while it waits counts (A-12)', async () => {
    await bench.link.setEntries([sensorEntry()]);
    const stream = call(session, 'FetchX509SVID');
    await stream.next();
    // Both are sent before either is answered: the first change would renew, the second takes away.
    const changed = bench.link.setEntries([sensorEntry({ x509_svid_ttl: 40 })]);
    const gone = bench.link.setEntries([]);
    await Promise.all([changed, gone]);
    expect(await stream.status).toBe(GRPC.permissionDenied);
    expect(await stream.next()).toBeUndefined();
  });

  test('an entry that ends is over for its streams at that moment; its twin without end stays', async () => {
    await bench.stop();
    bench = new Bench();
    standStill();
    await bench.start({ clock: () => now });
    await bench.attestSelf();
    session = openSession(bench.socketPath);
    const step = () => {
      now = new Date(now.getTime() + 10);
      pass(10);
    };
    // Sooner than a stream is looked at though nothing is due.
    const inAWhile = () => Math.ceil(now.getTime() / 1000) + 50;
    const seconds = inAWhile();
    await bench.link.setEntries([
      sensorEntry({ x509_svid_ttl: 600 }),
      sensorEntry({ spiffe_id: `${SENSOR}-short`, expires_at: seconds, x509_svid_ttl: 600 }),
    ]);
    const stream = call(session, 'FetchX509SVID');
    const both = await next(stream);
    expect(both).toHaveLength(2);
    // No SVID outlives its entry.
    const short = both.find(({ id }) => id.endsWith('-short'));
    expect(short?.notAfter.getTime()).toBe(seconds * 1000);
    const left = await passUntil(next(stream), step);
    expect(left.map(({ id }) => id)).toEqual([SENSOR]);
    expect(now.getTime()).toBeGreaterThanOrEqual(seconds * 1000);
    const end = inAWhile();
    await bench.link.setEntries([sensorEntry({ expires_at: end, x509_svid_ttl: 600 })]);
    await passUntil(next(stream), step);
    expect(await passUntil(stream.status, step)).toBe(GRPC.permissionDenied);
    // At that moment: there are some turns of the event loop until it is heard.
    expect(now.getTime() - end * 1000).toBeLessThan(5000);
  });

  test('new authorities are published before they sign, and reach every kind of stream (A-02)', async () => {
    await bench.link.setEntries([sensorEntry()]);
    const [svids, x509, jwt] = ['FetchX509SVID', 'FetchX509Bundles', 'FetchJWTBundles'].map(
      (method) => call(session, method),
    );
    const own = `spiffe://${TRUST_DOMAIN}`;
    const first = readSvids(await svids?.next());
    const before = readBundles(await x509?.next())[own];
    expect(readJwtBundles(await jwt?.next())[own]?.keys).toHaveLength(1);
    now = new Date(now.getTime() + 13 * HOUR);
    await bench.issuer.housekeep();
    const after = readBundles(await x509?.next())[own];
    expect(after?.length).toBeGreaterThan((before?.length ?? 0) * 1.8);
    expect(Buffer.from(after ?? []).subarray(0, before?.length)).toEqual(Buffer.from(before ?? []));
    expect(readJwtBundles(await jwt?.next())[own]?.keys).toHaveLength(2);
    expect(readSvids(await svids?.next())[0]?.serial).not.toBe(first[0]?.serial);
  });

  test('an entry that names what was never looked for reaches the streams that are open', async () => {
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 600 })]);
    const stream = call(session, 'FetchX509SVID');
    await stream.next();
    await bench.link.addEntries([
      sensorEntry({
        spiffe_id: `${SENSOR}-by-path`,
        selectors: [{ type: 'unix', value: `path:${process.execPath}` }],
      }),
    ]);
    expect((await next(stream)).map(({ id }) => id).sort()).toEqual([SENSOR, `${SENSOR}-by-path`]);
  });

  test('an unchanged bundle is not sent again', async () => {
    await bench.link.setEntries([sensorEntry()]);
    const stream = call(session, 'FetchX509Bundles');
    const one = readBundles(await stream.next());
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 40 })]);
    await bench.link.setEntries([sensorEntry({ hint: 'x' })]);
    now = new Date(now.getTime() + 13 * HOUR);
    await bench.issuer.housekeep();
    // Had the unchanged one been sent, it would have come first.
    expect(readBundles(await stream.next())).not.toEqual(one);
  });
});

describe('waking many streams', () => {
  const waiting = (changes: ReturnType<typeof createChanges>, streams: number) =>
    Array.from({ length: streams }, (_one, pid) => {
      const subscription = changes.subscribe(pid);
      const woken = subscription.next(60_000).then(() => subscription.end());
      return { woken };
    });

  test('a widespread change is spread over a time that grows with the streams (A-03)', async () => {
    const late = createChanges(() => 0.999);
    const many = waiting(late, 132);
    const start = performance.now();
    late.notifySpread();
    await Promise.race(many.map(({ woken }) => woken));
    // 100 streams beyond the first 32, 2 ms each.
    expect(performance.now() - start).toBeGreaterThanOrEqual(190);
    await Promise.all(many.map(({ woken }) => woken));
    // A few are woken in the same turn.
    const few = waiting(late, 32);
    let turns = 0;
    late.notifySpread();
    const turn = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      turns += 1;
    });
    await Promise.all(few.map(({ woken }) => woken));
    expect(turns).toBe(0);
    await turn;
  });

  test('an entry wakes the streams of processes that may match it, and of those nothing is known of', async () => {
    const selector = (value: string) => ({ type: 'swarm', value });
    const path = { type: 'unix', value: 'path:/bin/x' };
    const entry = storedEntry({ selectors: [selector('a'), selector('b'), path] });
    const changes = createChanges(() => 0, isOnDemand);
    const woken: string[] = [];
    const stream = (name: string, pid: number, have?: readonly string[]) => {
      const subscription = changes.subscribe(pid);
      if (have !== undefined) subscription.found(have.map(selector));
      void subscription.next(60_000).then(() => woken.push(name));
      return subscription;
    };
    const all = [
      stream('has all', 1, ['a', 'b', 'c']),
      stream('has one', 2, ['a', 'c']),
      stream('has what contains it', 3, ['a', 'bb']),
      stream('nothing is known', 4),
      stream('has all', 5, ['b', 'a']),
      // A second stream of that process, which may be another process by now.
      stream('nothing is known', 5),
    ];
    changes.notifyFor([entry]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(woken.sort()).toEqual(['has all', 'has all', 'nothing is known', 'nothing is known']);
    changes.notify();
    await new Promise((resolve) => setImmediate(resolve));
    expect(woken).toHaveLength(6);
    for (const one of all) one.end();
  });

  test('a taken identity does not wait for that: who is told at once is told at once', async () => {
    const changes = createChanges(() => 0.999);
    const all = Array.from({ length: 200 }, (_one, pid) => changes.subscribe(pid));
    const woken = all.map((one) => one.next(60_000));
    changes.notifySpread();
    changes.notify(7);
    await woken[7];
    changes.notify();
    await Promise.all(woken);
    for (const one of all) one.end();
  });
});
