import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Bench, sensorEntry } from './harness.ts';
import { call, fetchOnce, frame, GRPC, openSession } from './raw-client.ts';
import { goOn, passUntil, standStill } from './time.ts';

const SENSOR = sensorEntry().spiffe_id;
const HEADER = { 'workload.spiffe.io': 'true' };
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

describe('what callers of the socket can take from others', () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });
  afterEach(() => {
    goOn();
    return bench.stop();
  });

  test('who holds connections without an identity does not crowd out who has one, or will', async () => {
    await bench.start({ limits: { connections: 8 } });
    await bench.link.setEntries([sensorEntry()]);
    const reflection = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
    const hold = () => {
      const session = openSession(bench.socketPath);
      // Not ended: a question may follow.
      const stream = session.request({
        ':method': 'POST',
        ':path': reflection,
        'content-type': 'application/grpc',
        ...HEADER,
      });
      stream.on('error', () => {});
      return { session, held: new Promise((resolve) => session.once('remoteSettings', resolve)) };
    };
    const holders = Array.from({ length: 8 }, hold);
    await Promise.all(holders.map(({ held }) => held));
    const honest = await bench.launch();
    honest.connect(bench.socketPath);
    expect((await honest.next()).svids?.[0]?.id).toBe(SENSOR);
    const later = Array.from({ length: 30 }, hold);
    await later.at(-1)?.held;
    // Its stream is there still: it hears of what changes.
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 600 })]);
    expect((await honest.next()).svids?.[0]?.id).toBe(SENSOR);
    const second = await bench.launch();
    second.connect(bench.socketPath);
    expect((await second.next()).svids?.[0]?.id).toBe(SENSOR);
    for (const { session } of [...holders, ...later]) session.destroy();
  });

  test('hostile callers of every kind leave the memory of the issuer where it was', async () => {
    standStill();
    await bench.start({ limits: { connectionsPerProcess: 2000 } });
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 3600 })]);
    await bench.attestSelf();
    const opened = async () => {
      const socket = connect(bench.socketPath);
      socket.on('error', () => {}).resume();
      await once(socket, 'connect');
      socket.write(PREFACE);
      return socket;
    };
    const round = async () => {
      const sockets = await Promise.all(Array.from({ length: 1000 }, opened));
      const stuck = Array.from({ length: 50 }, () =>
        connectHttp2('http://localhost', {
          createConnection: () => connect(bench.socketPath),
          settings: { initialWindowSize: 0 },
        }).on('error', () => {}),
      );
      const cut = stuck.map((session) => once(session, 'close'));
      for (const session of stuck) for (let n = 0; n < 16; n += 1) call(session, 'FetchX509SVID');
      for (let n = 0; n < 30; n += 1) {
        const session = openSession(bench.socketPath);
        const tooLong = frame(Buffer.alloc(40_000));
        const answer = await call(session, 'FetchJWTSVID', HEADER, tooLong).status;
        session.destroy();
        expect(answer).toBe(GRPC.resourceExhausted);
      }
      await passUntil(Promise.all(cut));
      for (const socket of sockets) socket.destroy();
      await Promise.all(sockets.map((one) => one.closed || once(one, 'close')));
    };
    // What a first round makes for good, such as compiled code and pools, is none of its callers'.
    await round();
    const used = () => {
      collectGarbage();
      const { heapUsed, external, arrayBuffers } = process.memoryUsage();
      return heapUsed + external + arrayBuffers;
    };
    const before = used();
    for (let n = 0; n < 2; n += 1) await round();
    expect(await fetchOnce(bench.socketPath)).toEqual([SENSOR]);
    // 2,000 connections, 1,600 answers that nobody read and messages that are too long; both ends of
    // each are in this process. It is 8 KiB for each connection.
    // What has closed is let go a little later.
    await expect.poll(() => used() - before).toBeLessThan(16 * 1024 * 1024);
  }, 180_000);
});
