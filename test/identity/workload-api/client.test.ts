import { EventEmitter, once } from 'node:events';
import { Code } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { X509Source } from '#identity/svid.ts';
import {
  openX509Source,
  type X509SourceOptions,
  type X509SourceState,
} from '#identity/workload-api/client.ts';
import type { Issued } from '../support/authority.ts';
import { leafToday, OWN, rootToday, svidOf } from '../support/pushed.ts';
import { startWorkloadServer, type WorkloadServer } from '../support/workload-server.ts';

const ID = `spiffe://${OWN}/agent/sensor/north/cam-1`;
const OTHER_ID = `spiffe://${OWN}/agent/sensor/north/cam-2`;

let server: WorkloadServer;
let root: Issued;
let sources: X509Source[];
let states: X509SourceState[];
let events: EventEmitter;

beforeEach(async () => {
  server = await startWorkloadServer();
  root = await rootToday();
  sources = [];
  states = [];
  events = new EventEmitter();
});
afterEach(async () => {
  for (const source of sources) source.close();
  await server.close();
});

function open(options: Partial<X509SourceOptions> = {}): Promise<X509Source> {
  const opened = openX509Source({
    socketPath: server.path,
    backoff: { firstMs: 5, maxMs: 20 },
    onState: (state) => {
      states.push(state);
      events.emit(state.kind, state);
    },
    ...options,
  });
  opened.then(
    (source) => sources.push(source),
    () => undefined,
  );
  return opened;
}

async function message(id = ID) {
  return { svids: [svidOf(await leafToday(root, id), id, root)] };
}

/** A source that has its first SVID, and the stream that it came on. */
async function ready(options: Partial<X509SourceOptions> = {}) {
  const opening = open(options);
  const stream = await server.next();
  stream.send(await message());
  return { source: await opening, stream };
}

const kinds = () => states.map(({ kind }) => kind);

describe('the first set', () => {
  test('the security header is sent, and the SVID, its key and its bundle arrive (E-02, A-05)', async () => {
    const { source, stream } = await ready();
    expect(stream.header).toBe('true');
    expect(source.svid()).toMatchObject({ id: ID, hint: '' });
    expect(source.svid().key.type).toBe('private');
    expect([...source.bundles().keys()]).toEqual([OWN]);
    expect(states).toMatchObject([{ kind: 'ready', id: ID, serial: source.svid().serial }]);
  });

  test('unix:// URIs of SPIFFE_ENDPOINT_SOCKET work as paths do (E-05)', async () => {
    const { source } = await ready({ socketPath: `unix://${server.path}` });
    expect(source.svid().id).toBe(ID);
  });

  test('denied at first: waits, says so, and is served when the entry comes (C-01)', async () => {
    const opening = open();
    (await server.next()).fail(Code.PermissionDenied, 'no identity issued');
    await once(events, 'denied');
    (await server.next()).fail(Code.PermissionDenied, 'no identity issued');
    await once(events, 'denied');
    (await server.next()).send(await message());
    expect((await opening).svid().id).toBe(ID);
    expect(kinds()).toEqual(['denied', 'denied', 'ready']);
  });

  test('no server yet: unavailable, then served (C-01)', async () => {
    await server.stopListening();
    const opening = open();
    await once(events, 'unavailable');
    await server.listen();
    (await server.next()).send(await message());
    expect((await opening).svid().id).toBe(ID);
  });

  test.each([Code.InvalidArgument, Code.Unimplemented])(
    'status %i is not tried again (C-01)',
    async (code) => {
      const opening = open();
      const refused = expect(opening).rejects.toThrow(/^Workload API: \w+: not like this$/);
      (await server.next()).fail(code, 'not like this');
      await refused;
      expect(kinds()).toEqual(['failed']);
      // A later source is the next caller: nobody called in between.
      const { source } = await ready();
      expect(source.svid().id).toBe(ID);
    },
  );

  test('aborted before the first SVID: rejects, and the call ends', async () => {
    const controller = new AbortController();
    const opening = open({ signal: controller.signal });
    const rejected = expect(opening).rejects.toThrow('closed before an SVID came');
    const stream = await server.next();
    controller.abort();
    await rejected;
    await stream.gone;
  });

  test('an endpoint that is none is named in one line', async () => {
    await expect(open({ socketPath: 'localhost:80' })).rejects.toThrow(/^ENDPOINT_INVALID: /);
  });
});

describe('later messages', () => {
  test('a new set replaces the old one as a whole, and listeners hear of it (C-02)', async () => {
    const { source, stream } = await ready();
    const foreign = await rootToday('other.example');
    const heard: string[] = [];
    source.onUpdate(() => heard.push(source.svid().id));
    stream.send({
      ...(await message()),
      federatedBundles: { 'spiffe://other.example': new Uint8Array(foreign.der) },
    });
    await once(events, 'ready');
    expect([...source.bundles().keys()].sort()).toEqual([OWN, 'other.example']);
    stream.send(await message(OTHER_ID));
    await once(events, 'ready');
    expect([...source.bundles().keys()]).toEqual([OWN]);
    expect(heard).toEqual([ID, OTHER_ID]);
  });

  test('a listener that has left hears nothing', async () => {
    const { source, stream } = await ready();
    let calls = 0;
    const stop = source.onUpdate(() => {
      calls += 1;
    });
    stop();
    stream.send(await message());
    await once(events, 'ready');
    expect(calls).toBe(0);
  });

  test('a discarded message is reported and changes nothing (C-03)', async () => {
    const { source, stream } = await ready();
    const before = source.svid();
    stream.send({ svids: [] });
    await once(events, 'discarded');
    expect(states.at(-1)).toMatchObject({
      code: 'WORKLOAD_FIELD_EMPTY',
      detail: 'svids is mandatory',
    });
    expect(source.svid()).toBe(before);
  });

  test('another trust domain than the expected one is discarded', async () => {
    const opening = open({ trustDomain: 'else.example' });
    const stream = await server.next();
    stream.send(await message());
    await once(events, 'discarded');
    expect(states).toMatchObject([{ code: 'WORKLOAD_SVID_INVALID' }]);
    const elsewhere = await rootToday('else.example');
    const id = 'spiffe://else.example/a';
    stream.send({ svids: [svidOf(await leafToday(elsewhere, id), id, elsewhere)] });
    expect((await opening).svid().id).toBe(id);
  });
});

describe('the end of a stream', () => {
  test('PermissionDenied on a live stream takes everything away at once (C-05)', async () => {
    const { source, stream } = await ready();
    let updates = 0;
    source.onUpdate(() => {
      updates += 1;
    });
    stream.fail(Code.PermissionDenied, 'entry deleted');
    await once(events, 'denied');
    expect(() => source.svid()).toThrow('no X.509-SVID: denied: entry deleted');
    expect(source.bundles().size).toBe(0);
    expect(updates).toBe(1);
    (await server.next()).send(await message());
    await once(events, 'ready');
    expect(source.svid().id).toBe(ID);
  });

  test('a closed stream is opened again at once, without a pause (C-01)', async () => {
    // A pause of an hour would fail this test.
    const { source, stream } = await ready({ backoff: { firstMs: 3_600_000, maxMs: 3_600_000 } });
    stream.end();
    const again = await server.next();
    again.send(await message(OTHER_ID));
    await once(events, 'ready');
    expect(source.svid().id).toBe(OTHER_ID);
  });

  test('a cut connection keeps the SVID in use, and is opened again at once (C-01)', async () => {
    const { source } = await ready({ backoff: { firstMs: 3_600_000, maxMs: 3_600_000 } });
    server.cut();
    const again = await server.next();
    expect(kinds()).toEqual(['ready', 'unavailable']);
    expect(source.svid().id).toBe(ID);
    again.send(await message());
    await once(events, 'ready');
  });

  test('a restarted server is found again', async () => {
    const { source } = await ready();
    await server.stopListening();
    await once(events, 'unavailable');
    await server.listen();
    (await server.next()).send(await message(OTHER_ID));
    await once(events, 'ready');
    expect(source.svid().id).toBe(OTHER_ID);
  });

  test('a server that closes stream after stream is not hammered', async () => {
    const draws: number[] = [];
    const random = () => {
      draws.push(0);
      return 0;
    };
    const { stream } = await ready({ random });
    stream.end();
    const second = await server.next();
    expect(draws).toHaveLength(0);
    second.send(await message());
    second.end();
    await server.next();
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
    ['403 of something that is no gRPC', {}, 403, []],
    ['404 of something that is no gRPC', {}, 404, []],
  ])('%s is no answer of the server: it is asked again', async (_what, headers, status, bytes) => {
    const { source, stream } = await ready();
    server.interceptNext((response) => {
      response.writeHead(status, headers);
      response.end(Uint8Array.from(bytes));
    });
    stream.end();
    (await server.next()).send(await message(OTHER_ID));
    await once(events, 'ready');
    expect(kinds()).toEqual(['ready', 'unavailable', 'ready']);
    expect(source.svid().id).toBe(OTHER_ID);
  });

  test('close ends the call, and nothing is handed out any more', async () => {
    const { source, stream } = await ready();
    source.close();
    await stream.gone;
    expect(() => source.svid()).toThrow('the source was closed');
    expect(source.bundles().size).toBe(0);
  });
});
