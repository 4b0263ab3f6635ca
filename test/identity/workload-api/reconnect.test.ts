import { once } from 'node:events';
import { Code } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Harness, ID, OTHER_ID, startHarness } from '../support/client-harness.ts';

let at: Harness;
beforeEach(async () => {
  at = await startHarness();
});
afterEach(() => at.close());

describe('the end of a stream', () => {
  test('PermissionDenied on a live stream takes everything away at once (C-05)', async () => {
    const { source, stream } = await at.ready();
    let updates = 0;
    source.onUpdate(() => {
      updates += 1;
    });
    stream.fail(Code.PermissionDenied, 'entry deleted');
    await once(at.events, 'denied');
    expect(() => source.svid()).toThrow('no X.509-SVID: denied: entry deleted');
    expect(source.bundles().size).toBe(0);
    expect(updates).toBe(1);
    (await at.server.next()).send(await at.message());
    await once(at.events, 'ready');
    expect(source.svid().id).toBe(ID);
  });

  test('a closed stream is opened again at once, without a pause (C-01)', async () => {
    // A pause of an hour would fail this test.
    const { source, stream } = await at.ready({
      backoff: { firstMs: 3_600_000, maxMs: 3_600_000 },
    });
    stream.end();
    const again = await at.server.next();
    again.send(await at.message(OTHER_ID));
    await once(at.events, 'ready');
    expect(source.svid().id).toBe(OTHER_ID);
  });

  test('a cut connection keeps the SVID in use, and is opened again at once (C-01)', async () => {
    const { source } = await at.ready({ backoff: { firstMs: 3_600_000, maxMs: 3_600_000 } });
    at.server.cut();
    const again = await at.server.next();
    expect(at.kinds()).toEqual(['ready', 'unavailable']);
    expect(source.svid().id).toBe(ID);
    again.send(await at.message());
    await once(at.events, 'ready');
  });

  test('a restarted server is found again', async () => {
    const { source } = await at.ready();
    await at.server.stopListening();
    await once(at.events, 'unavailable');
    await at.server.listen();
    (await at.server.next()).send(await at.message(OTHER_ID));
    await once(at.events, 'ready');
    expect(source.svid().id).toBe(OTHER_ID);
  });

  test('a server that closes stream after stream is not hammered', async () => {
    const draws: number[] = [];
    const random = () => {
      draws.push(0);
      return 0;
    };
    const { stream } = await at.ready({ random, clock: () => 0 });
    stream.end();
    const second = await at.server.next();
    expect(draws).toHaveLength(0);
    second.send(await at.message());
    second.end();
    await at.server.next();
    expect(draws).toHaveLength(1);
  });

  // The library calls each of these InvalidArgument, PermissionDenied or Unimplemented by itself.
  test.each([
    [
      'a message that is cut short',
      { 'content-type': 'application/grpc' },
      200,
      [0, 0, 0, 0, 99, 1],
    ],
    ['bytes that are no message', { 'content-type': 'application/grpc' }, 200, [0, 0, 0, 0, 1, 7]],
    [
      'a message beyond 4 MiB, of which not a byte more is waited for',
      { 'content-type': 'application/grpc' },
      200,
      [0, 0, 0x40, 0, 1],
    ],
    [
      'a compressed message, which was not asked for',
      { 'content-type': 'application/grpc', 'grpc-encoding': 'gzip' },
      200,
      [1, 0, 0, 0, 1, 0],
    ],
    ['403 of something that is no gRPC', {}, 403, []],
    ['404 of something that is no gRPC', {}, 404, []],
  ])('%s is no answer of the server: it is asked again', async (_what, headers, status, bytes) => {
    const { source, stream } = await at.ready();
    at.server.interceptNext((response) => {
      response.writeHead(status, headers);
      response.end(Uint8Array.from(bytes));
    });
    stream.end();
    (await at.server.next()).send(await at.message(OTHER_ID));
    await once(at.events, 'ready');
    expect(at.kinds()).toEqual(['ready', 'unavailable', 'ready']);
    expect(source.svid().id).toBe(OTHER_ID);
  });

  test('close ends the call, and nothing is handed out any more', async () => {
    const { source, stream } = await at.ready();
    source.close();
    await stream.gone;
    expect(() => source.svid()).toThrow('the source was closed');
    expect(source.bundles().size).toBe(0);
  });
});
