import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { JWTSVIDRequestSchema } from '#identity/workload-api/generated/workload_pb.ts';
import { caseSeed, random } from '../../fuzz/random.ts';
import { Bench, sensorEntry } from './harness.ts';
import { call, encode, fetchOnce, frame, GRPC, openSession, readSvids } from './raw-client.ts';
import { goOn, passUntil, standStill } from './time.ts';

/** Decides every octet of noise here, and stands in what a failed test prints. */
const SEED = 20_300_615;
const SENSOR = sensorEntry().spiffe_id;
const HEADER = { 'workload.spiffe.io': 'true' };
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

describe('hostile callers of the socket', () => {
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

  const served = async (): Promise<void> => {
    expect(await fetchOnce(bench.socketPath), `seed ${SEED}`).toEqual([SENSOR]);
  };
  const status = async (body: Uint8Array, headers: object = {}, method = 'FetchJWTSVID') => {
    const session = openSession(bench.socketPath);
    const answer = await call(session, method, { ...HEADER, ...headers }, body).status;
    session.destroy();
    return answer;
  };
  async function open(bytes: Uint8Array, end = false): Promise<Socket> {
    const socket = connect(bench.socketPath);
    socket.on('error', () => {}).resume();
    await once(socket, 'connect');
    socket.write(bytes);
    if (end) socket.end();
    return socket;
  }

  test('random bytes, alone and as frames of HTTP/2, end their connection alone', async () => {
    const attempts = Array.from({ length: 40 }, async (_one, n) => {
      const noise = random(caseSeed(SEED, n)).bytes(1 + ((n * 97) % 4000));
      const socket = await open(n % 2 === 0 ? noise : Buffer.concat([PREFACE, noise]), true);
      if (!socket.closed) await once(socket, 'close');
    });
    await Promise.all(attempts);
    await served();
  });

  test('a message cut short, or longer than it says, has a code of gRPC and not OK', async () => {
    const cut = Buffer.from('0000000010aabb', 'hex');
    const trailing = Buffer.concat([frame(Buffer.alloc(0)), Buffer.from('00', 'hex')]);
    const two = Buffer.concat([frame(Buffer.alloc(0)), frame(Buffer.alloc(0))]);
    for (const body of [cut, trailing, two, Buffer.from('00', 'hex')]) {
      const answer = await status(body);
      expect(answer).toEqual(expect.any(Number));
      expect(answer).not.toBe(GRPC.ok);
    }
    await served();
  });

  test('bytes that are no message of the schema are refused with a code', async () => {
    for (let n = 0; n < 30; n += 1) {
      const answer = await status(
        frame(Buffer.concat([Buffer.from([0xff]), random(caseSeed(SEED, n)).bytes(n)])),
      );
      expect(answer, `seed ${SEED}, ${n}`).toEqual(expect.any(Number));
      expect(answer, `seed ${SEED}, ${n}`).not.toBe(GRPC.ok);
    }
    await served();
  });

  test('a message beyond the limit is ResourceExhausted, whether it comes or is only announced', async () => {
    expect(await status(frame(Buffer.alloc(40_000)))).toBe(GRPC.resourceExhausted);
    expect(await status(Buffer.from('00ffffffff', 'hex'))).toBe(GRPC.resourceExhausted);
    await served();
  });

  test('headers beyond the limit end their stream', async () => {
    const answer = await status(Buffer.alloc(5), { 'x-more': 'a'.repeat(64 * 1024) });
    expect(answer === 'reset' || answer === GRPC.invalidArgument || answer === 8).toBe(true);
    await served();
  });

  test('the security header must be there once, and be true (E-02)', async () => {
    for (const value of [['true', 'true'], ['false', 'true'], ['true', ''], 'true ,', 'TRUE']) {
      const answer = await status(Buffer.alloc(5), { 'workload.spiffe.io': value });
      expect(answer).toBe(GRPC.invalidArgument);
    }
    const session = openSession(bench.socketPath);
    const none = call(session, 'FetchX509SVID', { other: 'x' });
    expect(await none.status).toBe(GRPC.invalidArgument);
    session.destroy();
    await served();
  });

  test('an unknown method or service is Unimplemented, another content type is no gRPC (E-06)', async () => {
    for (const path of ['/SpiffeWorkloadAPI/Fetch', '/other.Service/Method', '/', '/%2e%2e']) {
      expect(await status(Buffer.alloc(5), {}, path)).toBe(GRPC.unimplemented);
    }
    const session = openSession(bench.socketPath);
    const request = session.request({
      ':method': 'POST',
      ':path': '/SpiffeWorkloadAPI/FetchX509SVID',
      'content-type': 'application/json',
      ...HEADER,
    });
    request.end('{}');
    const [answer] = await once(request, 'response');
    expect(answer[':status']).toBe(415);
    session.destroy();
    await served();
  });

  test.each([
    ['an encoded path', '%2Fvar%2Frun%2Fapi.sock'],
    ['half an address', '[::1'],
    ['port 0', 'localhost:0'],
    ['4,000 characters', 'a'.repeat(4000)],
  ])(':authority means nothing on a Unix socket (E-10): %s', async (_name, authority) => {
    const session = openSession(bench.socketPath);
    const stream = call(session, 'FetchX509SVID', { ...HEADER, ':authority': authority });
    expect(readSvids(await stream.next())[0]?.id).toBe(SENSOR);
    session.destroy();
  });

  test('a thousand connections of one process: some are served, the rest cut off, others are served', async () => {
    const other = await bench.launch();
    const sockets = await Promise.all(
      Array.from({ length: 1000 }, () => open(PREFACE).catch(() => undefined)),
    );
    other.connect(bench.socketPath);
    expect((await other.next()).svids?.[0]?.id).toBe(SENSOR);
    const alive = sockets.filter((socket) => socket?.closed === false);
    const cut = alive.map((socket) => new Promise((resolve) => socket?.once('close', resolve)));
    // All but the 64 that one process may have.
    const left = new Set(cut);
    for (const one of cut) void one.then(() => left.delete(one));
    while (left.size > 64) await Promise.race(left);
    for (const socket of sockets) socket?.destroy();
  });

  test('a thousand connections that are allowed are all served, and leave nothing behind', async () => {
    await bench.stop();
    bench = new Bench();
    await bench.start({ limits: { connectionsPerProcess: 2000 } });
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 3600 })]);
    await bench.attestSelf();
    const sessions = Array.from({ length: 1000 }, () => openSession(bench.socketPath));
    const streams = sessions.map((session) => call(session, 'FetchX509SVID'));
    const firsts = await Promise.all(streams.map((stream) => stream.next()));
    expect(firsts.every((message) => readSvids(message)[0]?.id === SENSOR)).toBe(true);
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 7200 })]);
    const seconds = await Promise.all(streams.map((stream) => stream.next()));
    expect(new Set(seconds.map((message) => readSvids(message)[0]?.serial)).size).toBe(1);
    for (const session of sessions) session.destroy();
    await served();
  });

  test('who reads nothing keeps one message in memory, however much changes; then it is cut off', async () => {
    await bench.stop();
    bench = new Bench();
    standStill();
    await bench.start({ limits: { pushGapMs: 0 } });
    await bench.attestSelf();
    const many = (more: number) =>
      Array.from({ length: 100 }, (_one, n) =>
        sensorEntry({ spiffe_id: `${SENSOR}-${n}`, x509_svid_ttl: 3600 + more }),
      );
    await bench.link.setEntries(many(0));
    const stuck = connectHttp2('http://localhost', {
      createConnection: () => connect(bench.socketPath),
      settings: { initialWindowSize: 0 },
    });
    stuck.on('error', () => {});
    const stream = call(stuck, 'FetchX509SVID');
    const issued = () => bench.issuer.pending(100_000).length;
    const reading = openSession(bench.socketPath);
    const reader = call(reading, 'FetchX509SVID');
    await reader.next();
    for (let more = 1; more <= 10; more += 1) {
      await bench.link.setEntries(many(more));
      expect(readSvids(await reader.next())).toHaveLength(100);
    }
    // The reader of the same process had each of the eleven sets; the stuck one caused no more.
    expect(issued()).toBe(1100);
    expect(await passUntil(stream.status)).toBe('reset');
    reading.destroy();
    expect(await fetchOnce(bench.socketPath)).toHaveLength(100);
  });

  test('who does not read the answer of a unary RPC is cut off, as who does not read a stream', async () => {
    await bench.stop();
    bench = new Bench();
    standStill();
    await bench.start();
    const issued = new Promise<void>((resolve) => bench.issuer.onIssued(resolve));
    await bench.link.setEntries([sensorEntry()]);
    await bench.attestSelf();
    const stuck = connectHttp2('http://localhost', {
      createConnection: () => connect(bench.socketPath),
      settings: { initialWindowSize: 0 },
    });
    stuck.on('error', () => {});
    const closed = once(stuck, 'close');
    const body = encode(JWTSVIDRequestSchema, create(JWTSVIDRequestSchema, { audience: ['bank'] }));
    const stream = call(stuck, 'FetchJWTSVID', HEADER, body);
    await issued;
    expect(await passUntil(stream.status)).toBe('reset');
    await closed;
    expect(await status(body)).toBe(GRPC.ok);
    await served();
  });

  test('streams that are opened and reset at once cost their opener, and nobody else', async () => {
    const session = openSession(bench.socketPath);
    for (let n = 0; n < 500 && !session.destroyed; n += 1) {
      const stream = session.request({ ':method': 'POST', ':path': '/', ...HEADER });
      stream.on('error', () => {});
      stream.close(constants.NGHTTP2_CANCEL);
    }
    await served();
    session.destroy();
    await served();
  });
});
