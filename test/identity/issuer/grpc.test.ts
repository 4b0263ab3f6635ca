import { once } from 'node:events';
import type { ClientHttp2Session } from 'node:http2';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  createFrameReader,
  encodeFrame,
  encodeMessage,
  GRPC_STATUS,
  parseTimeout,
} from '#identity/issuer/grpc.ts';
import { Bench, sensorEntry } from './harness.ts';
import { call, frame, GRPC, openSession, readSvids } from './raw-client.ts';
import { goOn, pass, passUntil, standStill } from './time.ts';

const SENSOR = sensorEntry().spiffe_id;
const HEADER = { 'workload.spiffe.io': 'true' };
const REFLECTION = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const DEADLINE_EXCEEDED = 4;

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

describe('frames', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 });

  test('are read the same wherever the octets are cut', () => {
    fc.assert(
      fc.property(messages, fc.array(fc.nat(400), { maxLength: 12 }), (sent, cuts) => {
        const bytes = Buffer.concat(sent.map(encodeFrame));
        const reader = createFrameReader(300, undefined);
        const got: Uint8Array[] = [];
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          const read = reader.push(bytes.subarray(at, at + cut));
          at = Math.min(at + cut, bytes.length);
          if (!read.ok) throw new Error(read.message);
          got.push(...read.messages.map((one) => new Uint8Array(one)));
        }
        expect(got).toEqual(sent.map((one) => new Uint8Array(one)));
        expect(reader.rest).toBe(0);
      }),
    );
  });

  test.each([
    ['longer than allowed', '0000000065', undefined, GRPC_STATUS.resourceExhausted],
    ['compressed in a named way', '0100000000', 'gzip', GRPC_STATUS.unimplemented],
    ['compressed in no named way', '0100000000', undefined, GRPC_STATUS.internal],
    ['compressed by identity', '0100000000', 'identity', GRPC_STATUS.internal],
    ['marked with another flag', '0200000000', 'gzip', GRPC_STATUS.internal],
  ])('a message that is %s is refused by its prefix', (_name, prefix, encoding, status) => {
    const reader = createFrameReader(100, encoding);
    expect(reader.push(Buffer.from(prefix, 'hex'))).toMatchObject({ ok: false, status });
    const honest = createFrameReader(100, encoding).push(encodeFrame(Buffer.alloc(100)));
    expect(honest).toMatchObject({ ok: true, messages: [Buffer.alloc(100)] });
  });
});

test.each([
  ['1H', 3_600_000],
  ['2M', 120_000],
  ['10S', 10_000],
  ['99999999m', 99_999_999],
  ['500u', 0.5],
  ['1000000n', 1],
  ['0m', 0],
  ['', undefined],
  ['1', undefined],
  ['m', undefined],
  ['123456789m', undefined],
  ['-1m', undefined],
  ['1.5S', undefined],
  ['soon', undefined],
])('grpc-timeout %j is %j milliseconds', (text, expected) => {
  expect(parseTimeout(text)).toBe(expected);
});

test('a status message is percent-encoded, whatever is in it', () => {
  expect(encodeMessage('50 % über\n')).toBe('50%20%25%20%C3%BCber%0A');
  expect(encodeMessage('\ud800')).toBe('%EF%BF%BD');
});

describe('calls on the real socket', () => {
  let bench: Bench;
  let session: ClientHttp2Session;
  beforeEach(async () => {
    standStill();
    bench = new Bench();
    await bench.start({ limits: { slowReaderMs: 300, pushGapMs: 0 } });
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 3600 })]);
    await bench.attestSelf();
    session = openSession(bench.socketPath);
  });
  afterEach(async () => {
    goOn();
    session.destroy();
    await bench.stop();
  });

  test('a deadline of the caller ends its stream with DeadlineExceeded, and no other', async () => {
    const other = call(session, 'FetchX509SVID');
    await other.next();
    const stream = call(session, 'FetchX509SVID', { ...HEADER, 'grpc-timeout': '100m' });
    expect(readSvids(await stream.next())[0]?.id).toBe(SENSOR);
    pass(100);
    expect(await stream.status).toBe(DEADLINE_EXCEEDED);
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 600 })]);
    expect(readSvids(await other.next())[0]?.id).toBe(SENSOR);
  });

  test('a deadline in no form that there is, is InvalidArgument', async () => {
    const stream = call(session, 'FetchX509SVID', { ...HEADER, 'grpc-timeout': 'soon' });
    expect(await stream.status).toBe(GRPC.invalidArgument);
  });

  test.each([
    ['none', Buffer.alloc(0)],
    ['two', Buffer.concat([frame(Buffer.alloc(0)), frame(Buffer.alloc(0))])],
    ['half a one', Buffer.from('0000000003ff', 'hex')],
    ['one that is not of the schema', frame(Buffer.from('ffff', 'hex'))],
  ])('where one message belongs, %s is InvalidArgument (E-06)', async (_name, body) => {
    const bad = call(session, 'FetchX509SVID', HEADER, body);
    expect(await bad.status).toBe(GRPC.invalidArgument);
    expect(readSvids(await call(session, 'FetchX509SVID').next())[0]?.id).toBe(SENSOR);
  });

  test('a request that never ends is ended', async () => {
    const request = session.request({
      ':method': 'POST',
      ':path': '/SpiffeWorkloadAPI/FetchX509SVID',
      'content-type': 'application/grpc',
      ...HEADER,
    });
    request.on('error', () => {}).resume();
    request.write(Buffer.alloc(5));
    const [headers] = await passUntil(once(request, 'response'));
    expect(headers['grpc-status']).toBe(String(DEADLINE_EXCEEDED));
    if (!request.closed) await once(request, 'close');
    expect(readSvids(await call(session, 'FetchX509SVID').next())[0]?.id).toBe(SENSOR);
  });

  test('an issuer that stops says so to its callers', async () => {
    const streams = ['FetchX509SVID', 'FetchX509Bundles'].map((name) => call(session, name));
    for (const stream of streams) await stream.next();
    const stopped = bench.stop();
    for (const stream of streams) expect(await stream.status).toBe(GRPC.unavailable);
    await passUntil(stopped);
    bench = new Bench();
  });

  test('who asks a thousand questions and reads no answer has one of them in memory', async () => {
    const stuck = connectHttp2('http://localhost', {
      createConnection: () => connect(bench.socketPath),
      settings: { initialWindowSize: 0 },
    });
    stuck.on('error', () => {});
    // file_containing_symbol: the answer has 1,000 times the length of the question.
    const name = Buffer.from('grpc.reflection.v1.ServerReflectionRequest');
    const question = frame(Buffer.concat([Buffer.of(0x22, name.length), name]));
    const many = Buffer.concat(Array.from({ length: 1000 }, () => question));
    const used = () => {
      collectGarbage();
      return process.memoryUsage().arrayBuffers;
    };
    const before = used();
    const stream = call(stuck, REFLECTION, HEADER, many);
    // An answered call on another connection shows that the questions have arrived.
    for (let turn = 0; turn < 10; turn += 1) await call(session, 'FetchX509Bundles').next();
    expect(used() - before).toBeLessThan(2_000_000);
    // Nobody is waited for without an end.
    expect(await passUntil(stream.status)).toBe('reset');
    stuck.destroy();
    const first = call(session, REFLECTION, HEADER, question);
    expect((await first.next())?.length).toBeGreaterThan(500);
  });
});
