import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openX509Source } from '#identity/workload-api/client.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';
import { Bench, sensorEntry, TRUST_DOMAIN } from './harness.ts';
import { call, fetchOnce, GRPC, openSession, readBundles, readSvids } from './raw-client.ts';
import { goOn, pass, passUntil, standStill } from './time.ts';

const SENSOR = `spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-1`;
const HEADER = { 'workload.spiffe.io': 'true' };

describe('Workload API server', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = new Bench();
    await bench.start();
    await bench.link.setEntries([sensorEntry()]);
    await bench.attestSelf();
  });
  afterEach(() => {
    goOn();
    return bench.stop();
  });

  /** Another one, in which time stands. */
  async function restart(options: Parameters<Bench['start']>[0]): Promise<void> {
    await bench.stop();
    bench = new Bench();
    standStill();
    await bench.start(options);
    await bench.attestSelf();
  }

  test('plain gRPC on a Unix socket, no TLS, no token: SVID, key and bundle come at once (E-01, E-03, E-09, A-01, A-02, A-05, A-08)', async () => {
    const session = openSession(bench.socketPath);
    const [svid] = readSvids(await call(session, 'FetchX509SVID').next());
    if (svid === undefined) throw new Error('no SVID');
    const leaf = new X509Certificate(svid.leaf);
    const root = new X509Certificate(svid.bundle);
    expect(svid.id).toBe(SENSOR);
    expect(leaf.verify(root.publicKey)).toBe(true);
    const key = createPrivateKey({ key: Buffer.from(svid.key), format: 'der', type: 'pkcs8' });
    expect(leaf.checkPrivateKey(key)).toBe(true);
    const bundles = readBundles(await call(session, 'FetchX509Bundles').next());
    expect(Object.keys(bundles)).toEqual([`spiffe://${TRUST_DOMAIN}`]);
    expect(bundles[`spiffe://${TRUST_DOMAIN}`]).toEqual(svid.bundle);
    session.destroy();
  });

  test('the socket is the owner’s alone', () => {
    expect(statSync(bench.socketPath).mode & 0o777).toBe(0o600);
  });

  test('a request without the security header is InvalidArgument (E-02)', async () => {
    const session = openSession(bench.socketPath);
    for (const headers of [{}, { 'workload.spiffe.io': 'True' }, { 'workload.spiffe.io': '' }]) {
      const refused = call(session, 'FetchX509SVID', headers as Record<string, string>);
      expect(await refused.status).toBe(GRPC.invalidArgument);
    }
    expect(readSvids(await call(session, 'FetchX509SVID').next())[0]?.id).toBe(SENSOR);
    session.destroy();
  });

  test('WIT RPCs and unknown methods answer Unimplemented (W-06, E-06)', async () => {
    const session = openSession(bench.socketPath);
    for (const method of ['FetchWITSVID', 'FetchWITBundles', 'FetchX509SVIDs', '']) {
      expect(await call(session, method).status).toBe(GRPC.unimplemented);
    }
    session.destroy();
  });

  test.each(['%2Frun%2Fapi.sock', '[', 'host:99999', '%'])(
    'any :authority is taken (E-10): %j',
    async (authority) => {
      const session = openSession(bench.socketPath);
      const stream = call(session, 'FetchX509SVID', { ...HEADER, ':authority': authority });
      expect(readSvids(await stream.next())[0]?.id).toBe(SENSOR);
      session.destroy();
    },
  );

  test.each(['a b', 'user@host', '\u00e9'])(
    'an :authority that HTTP/2 forbids ends its stream alone: %j',
    async (authority) => {
      const session = openSession(bench.socketPath);
      const bad = call(session, 'FetchX509SVID', { ...HEADER, ':authority': authority });
      expect(await bad.status).toBe('reset');
      session.destroy();
      expect(await fetchOnce(bench.socketPath)).toEqual([SENSOR]);
    },
  );

  test('hostile paths, methods and bodies end their stream, and the next caller is served', async () => {
    const session = openSession(bench.socketPath);
    const wait = async (headers: Record<string, string>, body: Buffer): Promise<void> => {
      const stream = session.request({ ':method': 'POST', ...HEADER, ...headers });
      stream.on('error', () => {}).resume();
      const closed = once(stream, 'close');
      stream.end(body);
      await closed;
    };
    const rpc = '/SpiffeWorkloadAPI/FetchX509SVID';
    const grpc = { 'content-type': 'application/grpc', te: 'trailers' };
    await wait({ ':path': '//[?', ...grpc }, Buffer.alloc(5));
    await wait({ ':path': `${rpc.slice(0, 5)}%`, ...grpc }, Buffer.alloc(5));
    await wait({ ':path': rpc, 'content-type': 'text/html' }, Buffer.alloc(5));
    await wait({ ':path': rpc, ...grpc }, Buffer.from('00ffffffff', 'hex'));
    await wait({ ':path': rpc, ...grpc }, Buffer.from('0000000003ffffff', 'hex'));
    await wait({ ':path': rpc, ...grpc }, Buffer.alloc(0));
    await wait({ ':path': rpc, ...grpc, 'grpc-timeout': 'soon' }, Buffer.alloc(5));
    await wait(
      { ':path': rpc, ...grpc, 'grpc-encoding': 'gzip' },
      Buffer.from('0100000001ff', 'hex'),
    );
    session.destroy();
    const connectMethod = connectHttp2('http://localhost', {
      createConnection: () => connect(bench.socketPath),
    });
    connectMethod.on('error', () => {});
    const tunnel = connectMethod.request({ ':method': 'CONNECT', ':authority': '%2F' });
    tunnel.on('error', () => {}).resume();
    tunnel.end();
    await once(tunnel, 'close');
    connectMethod.destroy();
    expect(await fetchOnce(bench.socketPath)).toEqual([SENSOR]);
  });

  test('bytes that are no HTTP/2 end the connection, and the next caller is served', async () => {
    for (const bytes of [
      'GET / HTTP/1.1\r\n\r\n',
      '\0'.repeat(300),
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n!!!',
    ]) {
      const socket = connect(bench.socketPath);
      socket.on('error', () => {}).resume();
      const closed = once(socket, 'close');
      socket.write(bytes);
      if (bytes.startsWith('PRI')) socket.end();
      await closed;
    }
    expect(await fetchOnce(bench.socketPath)).toEqual([SENSOR]);
  });

  test('200 connections of one process: some served, the others cut off, none crashes', async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => fetchOnce(bench.socketPath)),
    );
    const served = answers.filter((answer) => Array.isArray(answer) && answer[0] === SENSOR);
    expect(served.length).toBeGreaterThanOrEqual(64);
    expect(answers.every((answer) => Array.isArray(answer) || answer === 'reset')).toBe(true);
    expect(await fetchOnce(bench.socketPath)).toEqual([SENSOR]);
  });

  test('streams of one connection are bounded, whatever the client knows of the bound', async () => {
    const session = openSession(bench.socketPath);
    const streams = Array.from({ length: 60 }, () => call(session, 'FetchX509SVID'));
    const firsts = await Promise.all(streams.map((stream) => stream.next()));
    const served = firsts.filter((message) => readSvids(message)[0]?.id === SENSOR);
    expect(served).toHaveLength(16);
    session.destroy();
    expect(await fetchOnce(bench.socketPath)).toEqual([SENSOR]);
  });

  test('a changed entry is pushed at once, an unchanged one is not', async () => {
    const session = openSession(bench.socketPath);
    const stream = call(session, 'FetchX509SVID');
    const [first] = readSvids(await stream.next());
    await bench.link.setEntries([sensorEntry()]);
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 40 })]);
    const [second] = readSvids(await stream.next());
    // Had the unchanged set been pushed, this message would have shown the first serial again.
    expect(second?.serial).not.toBe(first?.serial);
    const gain = (second?.notAfter.getTime() ?? 0) - (first?.notAfter.getTime() ?? 0);
    expect(gain).toBeGreaterThan(10_000);
    session.destroy();
  });

  test('streams of one process share an SVID; a second entry adds an identity', async () => {
    const session = openSession(bench.socketPath);
    const [one, two] = [call(session, 'FetchX509SVID'), call(session, 'FetchX509SVID')];
    const serials = [
      readSvids(await one.next())[0]?.serial,
      readSvids(await two.next())[0]?.serial,
    ];
    expect(serials[0]).toBe(serials[1]);
    const other = `spiffe://${TRUST_DOMAIN}/agent/sensor/north/other`;
    await bench.link.setEntries([sensorEntry(), sensorEntry({ spiffe_id: other })]);
    const both = readSvids(await one.next());
    expect(both.map((svid) => svid.id).sort()).toEqual([SENSOR, other]);
    expect(both.map((svid) => svid.serial)).toContain(serials[0]);
    session.destroy();
  });

  test('the entry goes: PermissionDenied on every live stream (A-07)', async () => {
    const session = openSession(bench.socketPath);
    const svids = call(session, 'FetchX509SVID');
    const bundles = call(session, 'FetchX509Bundles');
    const [before] = readSvids(await svids.next());
    await bundles.next();
    await bench.link.setEntries([]);
    expect(await svids.status).toBe(GRPC.permissionDenied);
    expect(await bundles.status).toBe(GRPC.permissionDenied);
    await bench.link.setEntries([sensorEntry()]);
    // What was taken away does not come back: a granted identity is a new SVID.
    const [after] = readSvids(await call(session, 'FetchX509SVID').next());
    expect(after?.id).toBe(SENSOR);
    expect(after?.serial).not.toBe(before?.serial);
    session.destroy();
  });

  test('the launcher is gone: what it attested counts no more', async () => {
    const session = openSession(bench.socketPath);
    const stream = call(session, 'FetchX509SVID');
    await stream.next();
    bench.link.close();
    expect(await stream.status).toBe(GRPC.permissionDenied);
    session.destroy();
  });

  test('a reader that stands still loses its connection, others are served', async () => {
    await restart({ limits: { slowReaderMs: 200 } });
    const issued = new Promise<void>((resolve) => bench.issuer.onIssued(resolve));
    const many = Array.from({ length: 100 }, (_one, n) =>
      sensorEntry({ spiffe_id: `${SENSOR}-${n}` }),
    );
    await bench.link.setEntries(many);
    const stuck = connectHttp2('http://localhost', {
      createConnection: () => connect(bench.socketPath),
      settings: { initialWindowSize: 0 },
    });
    stuck.on('error', () => {});
    const stream = call(stuck, 'FetchX509SVID');
    await issued;
    expect(await passUntil(stream.status)).toBe('reset');
    expect(await fetchOnce(bench.socketPath)).toHaveLength(100);
  });

  test('a connection without a stream is closed, one with a stream is not', async () => {
    await restart({ limits: { idleMs: 100, pushGapMs: 0 } });
    await bench.link.setEntries([sensorEntry()]);
    const busy = openSession(bench.socketPath);
    const stream = call(busy, 'FetchX509SVID');
    await stream.next();
    const idle = connect(bench.socketPath);
    idle.on('error', () => {}).resume();
    await passUntil(once(idle, 'close'));
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 40 })]);
    expect(readSvids(await stream.next())[0]?.id).toBe(SENSOR);
    busy.destroy();
  });

  test('the Workload API client follows renewal and revocation', async () => {
    const states: string[] = [];
    const source = await openX509Source({
      socketPath: bench.socketPath,
      trustDomain: TRUST_DOMAIN,
      onState: ({ kind }) => states.push(kind),
    });
    const first = source.svid();
    expect(first.id).toBe(SENSOR);
    const chain = first.certificates;
    expect(verifyX509Svid(chain, source.bundles(), new Date())).toMatchObject({ ok: true });
    const update = () => new Promise<void>((resolve) => source.onUpdate(resolve));
    const renewed = update();
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 40 })]);
    await renewed;
    expect(source.svid().serial).not.toBe(first.serial);
    const revoked = update();
    await bench.link.setEntries([]);
    await revoked;
    expect(() => source.svid()).toThrow('no X.509-SVID');
    expect(states.at(-1)).toBe('denied');
    source.close();
  });

  test('an SVID is renewed before it expires', async () => {
    let now = new Date();
    await restart({ clock: () => now });
    // Shorter than the time after which a stream is looked at though nothing is due.
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 50 })]);
    const session = openSession(bench.socketPath);
    const stream = call(session, 'FetchX509SVID');
    const [first] = readSvids(await stream.next());
    const renewed = await passUntil(stream.next(), () => {
      now = new Date(now.getTime() + 10);
      pass(10);
    });
    const [second] = readSvids(renewed);
    expect(second?.serial).not.toBe(first?.serial);
    expect(now.getTime()).toBeLessThan(first?.notAfter.getTime() ?? 0);
    session.destroy();
  });
});
