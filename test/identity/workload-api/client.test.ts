import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { Code } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Harness, ID, OTHER_ID, startHarness } from '../support/client-harness.ts';
import { leafToday, OWN, rootToday, svidOf } from '../support/pushed.ts';

let at: Harness;
beforeEach(async () => {
  at = await startHarness();
});
afterEach(() => at.close());

describe('the first set', () => {
  test('the security header is sent, and the SVID, its key and its bundle arrive (E-02, A-05)', async () => {
    const { source, stream } = await at.ready();
    expect(stream.header).toBe('true');
    expect(source.svid()).toMatchObject({ id: ID, hint: '' });
    expect(source.svid().key.type).toBe('private');
    expect([...source.bundles().keys()]).toEqual([OWN]);
    expect(at.states).toMatchObject([{ kind: 'ready', id: ID, serial: source.svid().serial }]);
  });

  test('unix:// URIs of SPIFFE_ENDPOINT_SOCKET work as paths do (E-05)', async () => {
    const { source } = await at.ready({ socketPath: `unix://${at.server.path}` });
    expect(source.svid().id).toBe(ID);
  });

  test('tcp://IP:port works as the socket does (E-05)', async () => {
    const relay = createServer((socket) => {
      const onward = connect(at.server.path);
      for (const end of [socket, onward]) end.on('error', () => undefined);
      socket.pipe(onward).pipe(socket);
    });
    relay.listen(0, '127.0.0.1');
    await once(relay, 'listening');
    const { port } = relay.address() as AddressInfo;
    const { source } = await at.ready({ socketPath: `tcp://127.0.0.1:${port}` });
    expect(source.svid().id).toBe(ID);
    source.close();
    const closed = once(relay, 'close');
    relay.close();
    await closed;
  });

  test('denied at first: waits, says so, and is served when the entry comes (C-01)', async () => {
    const opening = at.open();
    (await at.server.next()).fail(Code.PermissionDenied, 'no identity issued');
    await once(at.events, 'denied');
    (await at.server.next()).fail(Code.PermissionDenied, 'no identity issued');
    await once(at.events, 'denied');
    (await at.server.next()).send(await at.message());
    expect((await opening).svid().id).toBe(ID);
    expect(at.kinds()).toEqual(['denied', 'denied', 'ready']);
  });

  test('no server yet: unavailable, then served (C-01)', async () => {
    await at.server.stopListening();
    const opening = at.open();
    await once(at.events, 'unavailable');
    await at.server.listen();
    (await at.server.next()).send(await at.message());
    expect((await opening).svid().id).toBe(ID);
  });

  test.each([Code.InvalidArgument, Code.Unimplemented])(
    'status %i is not tried again (C-01)',
    async (code) => {
      const opening = at.open();
      const refused = expect(opening).rejects.toThrow(/^Workload API: \w+: not like this$/);
      (await at.server.next()).fail(code, 'not like this');
      await refused;
      expect(at.kinds()).toEqual(['failed']);
      // A later source is the next caller: nobody called in between.
      const { source } = await at.ready();
      expect(source.svid().id).toBe(ID);
    },
  );

  test('aborted before the first SVID: rejects, and the call ends', async () => {
    const controller = new AbortController();
    const opening = at.open({ signal: controller.signal });
    const rejected = expect(opening).rejects.toThrow('closed before the first X.509-SVID came');
    const stream = await at.server.next();
    controller.abort();
    await rejected;
    await stream.gone;
  });

  test('aborted before it began: nobody is called', async () => {
    await expect(at.open({ signal: AbortSignal.abort() })).rejects.toThrow('closed before');
    const { source } = await at.ready();
    expect(source.svid().id).toBe(ID);
  });

  test('an endpoint that is none is named in one line', async () => {
    await expect(at.open({ socketPath: 'localhost:80' })).rejects.toThrow(/^ENDPOINT_INVALID: /);
  });
});

describe('later messages', () => {
  test('a new set replaces the old one as a whole, and listeners hear of it (C-02)', async () => {
    const { source, stream } = await at.ready();
    const foreign = await rootToday('other.example');
    const heard: string[] = [];
    source.onUpdate(() => heard.push(source.svid().id));
    stream.send({
      ...(await at.message()),
      federatedBundles: { 'spiffe://other.example': new Uint8Array(foreign.der) },
    });
    await once(at.events, 'ready');
    expect([...source.bundles().keys()].sort()).toEqual([OWN, 'other.example']);
    stream.send(await at.message(OTHER_ID));
    await once(at.events, 'ready');
    expect([...source.bundles().keys()]).toEqual([OWN]);
    expect(heard).toEqual([ID, OTHER_ID]);
  });

  test('a message in which only the bundle is new changes the bundle (C-02)', async () => {
    const opening = at.open();
    const stream = await at.server.next();
    const first = await at.message();
    stream.send(first);
    const source = await opening;
    const { serial } = source.svid();
    const next = await rootToday();
    const bundle = new Uint8Array(Buffer.concat([at.root.der, next.der]));
    // Key bytes of a sent message are the server's own copy.
    stream.send({ svids: first.svids.map((svid) => ({ ...svid, bundle })) });
    await once(at.events, 'ready');
    expect(source.svid().serial).toBe(serial);
    expect(source.bundles().get(OWN)?.authorities).toHaveLength(2);
  });

  test('a listener that has left hears nothing', async () => {
    const { source, stream } = await at.ready();
    let calls = 0;
    const stop = source.onUpdate(() => {
      calls += 1;
    });
    stop();
    stream.send(await at.message());
    await once(at.events, 'ready');
    expect(calls).toBe(0);
  });

  test('a listener that throws is an uncaught bug, and costs nobody the identity', async () => {
    const { source, stream } = await at.ready();
    const heard: string[] = [];
    source.onUpdate(() => {
      throw new Error('a bug');
    });
    source.onUpdate(() => heard.push(source.svid().id));
    const handlers = process.rawListeners('uncaughtException') as ((error: Error) => void)[];
    process.removeAllListeners('uncaughtException');
    const uncaught = once(process, 'uncaughtException');
    stream.send(await at.message(OTHER_ID));
    const [error] = await uncaught;
    for (const handler of handlers) process.on('uncaughtException', handler);
    expect(error).toMatchObject({ message: 'a bug' });
    expect(heard).toEqual([OTHER_ID]);
    expect(at.kinds()).toEqual(['ready', 'ready']);
  });

  test('a discarded message is reported and changes nothing (C-03)', async () => {
    const { source, stream } = await at.ready();
    const before = source.svid();
    stream.send({ svids: [] });
    await once(at.events, 'discarded');
    expect(at.states.at(-1)).toMatchObject({
      code: 'WORKLOAD_FIELD_EMPTY',
      detail: 'svids is mandatory',
    });
    expect(source.svid()).toBe(before);
  });

  test('another trust domain than the expected one is discarded', async () => {
    const opening = at.open({ trustDomain: 'else.example' });
    const stream = await at.server.next();
    stream.send(await at.message());
    await once(at.events, 'discarded');
    expect(at.states).toMatchObject([{ code: 'WORKLOAD_SVID_INVALID' }]);
    const elsewhere = await rootToday('else.example');
    const id = 'spiffe://else.example/a';
    stream.send({ svids: [svidOf(await leafToday(elsewhere, id), id, elsewhere)] });
    expect((await opening).svid().id).toBe(id);
  });
});
