import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import * as tls from 'node:tls';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ExpectedPeer } from '#identity/authorise.ts';
import { type SpiffeId, spiffeId } from '#identity/spiffe-id.ts';
import { clientTls, followSource, peerOf, serverTls, verifyPeer } from '#identity/tls.ts';
import { type Issued, issueCa, SIGNATURE, SIGNER, uri, type Wish } from './support/authority.ts';
import { leafToday, OWN, rootToday, today } from './support/pushed.ts';
import { type PushedSource, pushedSource, svidFrom } from './support/source.ts';

const CLIENT = spiffeId(`spiffe://${OWN}/agent/sensor/north/cam-1`);
const SERVER = spiffeId(`spiffe://${OWN}/platform/nats`);
const PARTNER = 'other.example';
const anyone = () => true;

let root: Issued;
let partner: Issued;
let closers: (() => void)[] = [];

beforeAll(async () => {
  root = await rootToday();
  partner = await rootToday(PARTNER);
});
afterEach(() => {
  for (const close of closers) close();
  closers = [];
});

async function sourceOf(id: SpiffeId, wish: Wish = {}, signer = root): Promise<PushedSource> {
  return pushedSource(svidFrom(await leafToday(signer, id, wish), id), root);
}

/** A TLS server that greets those whom `peerOf` lets in, and says the code of those it does not. */
async function serve(source: PushedSource, expected: ExpectedPeer = anyone) {
  const server = tls.createServer(serverTls(source), (socket) => {
    const peer = peerOf(socket, source.bundles(), expected, new Date());
    socket.on('error', () => undefined);
    socket.end(peer.ok ? `hello ${peer.value.id}` : peer.code);
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(followSource(server, source), () => server.close());
  return { server, port: (server.address() as AddressInfo).port };
}

/** What the server said, or the error that ended the connection. */
async function call(port: number, options: tls.ConnectionOptions): Promise<string> {
  const socket = tls.connect({ port, host: '127.0.0.1', ...options });
  closers.push(() => socket.destroy());
  let said = '';
  socket.setEncoding('utf8');
  socket.on('data', (text) => {
    said += text;
  });
  return new Promise((resolve) => {
    socket.once('error', (error) => resolve(`error ${error.message}`));
    socket.once('close', () => resolve(said));
  });
}

describe('each side proves its SPIFFE ID (XV-05)', () => {
  test('the expected server and any client of the domain meet; host names play no part', async () => {
    const { port } = await serve(await sourceOf(SERVER));
    const client = await sourceOf(CLIENT);
    expect(await call(port, clientTls(client, SERVER))).toBe(`hello ${CLIENT}`);
    expect(
      await call(
        port,
        clientTls(client, (id) => id === SERVER),
      ),
    ).toBe(`hello ${CLIENT}`);
  });

  test('another workload of the same domain is not the server', async () => {
    const { port } = await serve(await sourceOf(CLIENT));
    const said = await call(port, clientTls(await sourceOf(CLIENT), SERVER));
    expect(said).toBe(`error PEER_UNEXPECTED: the peer is ${CLIENT}`);
  });

  test('a client that is not expected is refused before a byte is read', async () => {
    const { port } = await serve(await sourceOf(SERVER), CLIENT);
    const other = spiffeId(`spiffe://${OWN}/agent/sensor/north/cam-2`);
    expect(await call(port, clientTls(await sourceOf(other), SERVER))).toBe('PEER_UNEXPECTED');
    expect(await call(port, clientTls(await sourceOf(CLIENT), SERVER))).toBe(`hello ${CLIENT}`);
  });

  test('a client without a certificate gets nothing', async () => {
    const { port } = await serve(await sourceOf(SERVER));
    const { ca, minVersion, rejectUnauthorized } = clientTls(await sourceOf(CLIENT), SERVER);
    const bare = { ca, minVersion, rejectUnauthorized, checkServerIdentity: () => undefined };
    expect(await call(port, bare)).not.toContain('hello');
    expect(verifyPeer([], new Map(), anyone, new Date())).toMatchObject({
      code: 'PEER_NO_CERTIFICATE',
    });
  });

  const faults: [string, Wish, string][] = [
    ['two URI names', { names: [uri(SERVER), uri(CLIENT)] }, 'SVID_SAN_MULTIPLE'],
    ['cA true', { ca: true }, 'SVID_LEAF_IS_CA'],
    ['cRLSign', { usage: SIGNATURE | SIGNER }, 'SVID_KEY_USAGE_SIGNER'],
    ['keyUsage not critical', { usageCritical: false }, 'SVID_KEY_USAGE_NOT_CRITICAL'],
    ['a DNS name only', { names: [{ type: 'dns', value: 'localhost' }] }, 'SVID_SAN_MISSING'],
  ];
  test.each(faults)(
    'a server with %s is refused although the TLS library accepts it',
    async (_what, wish, code) => {
      const { port } = await serve(await sourceOf(SERVER, wish));
      const client = await sourceOf(CLIENT);
      expect(await call(port, clientTls(client, anyone))).toContain(`error ${code}`);
      const lax = { ...clientTls(client, anyone), checkServerIdentity: () => undefined };
      expect(await call(port, lax)).toBe(`hello ${CLIENT}`);
    },
  );

  test.each(faults)('a client with %s is refused', async (_what, wish, code) => {
    const { port } = await serve(await sourceOf(SERVER));
    const said = await call(port, clientTls(await sourceOf(CLIENT, wish), SERVER));
    expect([code, 'error']).toContain(said.split(' ')[0]);
    expect(said).not.toContain('hello');
  });

  test('an intermediate travels in the handshake (A-05)', async () => {
    const middle = await issueCa(root, { subject: 'CN=middle', ...today() });
    const leaf = await leafToday(middle, SERVER);
    const { port } = await serve(pushedSource(svidFrom(leaf, SERVER, middle), root));
    expect(await call(port, clientTls(await sourceOf(CLIENT), SERVER))).toBe(`hello ${CLIENT}`);
  });
});

describe('bundles of two domains are never merged (B-05, A-13)', () => {
  const roots = (): [string, Issued][] => [
    [OWN, root],
    [PARTNER, partner],
  ];

  test("the partner's authority cannot make our server, though the TLS library trusts it", async () => {
    const { port } = await serve(await sourceOf(SERVER, {}, partner));
    const client = await sourceOf(CLIENT);
    client.push(client.svid(), roots());
    const said = await call(
      port,
      clientTls(client, (id) => id === SERVER),
    );
    expect(said).toContain('error SVID_SIGNER_UNKNOWN');
  });

  test("the partner's authority cannot make our agent", async () => {
    const server = await sourceOf(SERVER);
    server.push(server.svid(), roots());
    const { port } = await serve(server);
    const forged = await sourceOf(CLIENT, {}, partner);
    expect(await call(port, clientTls(forged, SERVER))).toBe('SVID_SIGNER_UNKNOWN');
    const guest = spiffeId(`spiffe://${PARTNER}/agent/a`);
    const honest = pushedSource(svidFrom(await leafToday(partner, guest), guest), partner);
    honest.push(honest.svid(), roots());
    expect(await call(port, clientTls(honest, SERVER))).toBe(`hello ${guest}`);
  });

  test('one expected ID offers one domain to the TLS library', async () => {
    const client = await sourceOf(CLIENT);
    client.push(client.svid(), roots());
    const count = (pem: string) => pem.split('BEGIN CERTIFICATE').length - 1;
    expect(count(clientTls(client, SERVER).ca)).toBe(1);
    expect(count(clientTls(client, anyone).ca)).toBe(2);
  });
});

describe('the material is live', () => {
  test('after a push, new connections show the new certificates on both sides', async () => {
    const server = await sourceOf(SERVER);
    const { port } = await serve(server);
    const client = await sourceOf(CLIENT);
    const seen: string[] = [];
    const options = clientTls(client, SERVER);
    const check = options.checkServerIdentity;
    const watching = () => ({
      ...options,
      checkServerIdentity: (host: string, peer: tls.PeerCertificate) => {
        seen.push(peer.serialNumber.toLowerCase());
        return check(host, peer);
      },
    });
    await call(port, watching());
    const before = server.svid().serial;
    server.push(svidFrom(await leafToday(root, SERVER), SERVER));
    const renamed = spiffeId(`spiffe://${OWN}/agent/sensor/north/cam-9`);
    client.push(svidFrom(await leafToday(root, renamed), renamed));
    expect(await call(port, watching())).toBe(`hello ${renamed}`);
    expect(seen).toEqual([before, server.svid().serial]);
    expect(server.svid().serial).not.toBe(before);
  });

  test('an identity taken away opens no connection and lets nobody in (C-05)', async () => {
    const client = await sourceOf(CLIENT);
    const options = clientTls(client, SERVER);
    expect(options.cert).toContain('BEGIN CERTIFICATE');
    client.push(undefined, []);
    expect(() => options.cert).toThrow('no X.509-SVID');
    expect(() => options.key).toThrow('no X.509-SVID');
    expect(() => options.ca).toThrow('no X.509 authority');
    const source = await sourceOf(SERVER);
    const { server } = await serve(source);
    const closed = once(server, 'close');
    source.push(undefined, []);
    await closed;
  });

  test('options can be copied key by key', async () => {
    const options = clientTls(await sourceOf(CLIENT), SERVER);
    expect(Object.keys(options)).toEqual(expect.arrayContaining(['cert', 'key', 'ca']));
    const target = Object.assign({}, options);
    expect(target.cert).toBe(options.cert);
  });

  test('a session is never resumed: each connection shows its certificate', async () => {
    const source = await sourceOf(SERVER);
    const { port, server } = await serve(source);
    const reused: boolean[] = [];
    server.prependListener('secureConnection', (socket: tls.TLSSocket) => {
      reused.push(socket.isSessionReused());
    });
    const options = clientTls(await sourceOf(CLIENT), SERVER);
    const first = tls.connect({ port, host: '127.0.0.1', ...options });
    let session: Buffer | undefined;
    first.on('session', (ticket) => {
      session = ticket;
    });
    first.resume();
    await once(first, 'close');
    const said = await call(port, { ...options, ...(session && { session }) });
    expect(said).toBe(`hello ${CLIENT}`);
    expect(reused).toEqual([false, false]);
  });

  test('a server that hands out tickets by mistake still refuses a resumed session', async () => {
    const source = await sourceOf(SERVER);
    const server = tls.createServer({ ...serverTls(source), secureOptions: 0 }, (socket) => {
      const peer = peerOf(socket, source.bundles(), anyone, new Date());
      socket.on('error', () => undefined);
      socket.end(peer.ok ? 'hello' : peer.code);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const options = clientTls(await sourceOf(CLIENT), SERVER);
    const first = tls.connect({ port, host: '127.0.0.1', ...options });
    const [session] = await Promise.all([once(first, 'session'), once(first.resume(), 'close')]);
    expect(await call(port, options)).toBe('hello');
    expect(await call(port, { ...options, session: session[0] })).toBe('PEER_SESSION_RESUMED');
  });
});
