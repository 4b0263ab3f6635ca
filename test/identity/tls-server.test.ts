import { once } from 'node:events';
import { type Agent, createServer, request, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import * as tls from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { below, type ExpectedPeer, memberOf, oneOf } from '#identity/authorise.ts';
import { type SpiffeId, spiffeId } from '#identity/spiffe-id.ts';
import { clientTls, serverTls } from '#identity/tls.ts';
import { httpsAgent } from '#identity/tls-agent.ts';
import { type Guard, guardServer } from '#identity/tls-server.ts';
import type { Issued } from './support/authority.ts';
import { leafToday, OWN, rootToday } from './support/pushed.ts';
import { type PushedSource, pushedSource, svidFrom } from './support/source.ts';

const CLIENT = spiffeId(`spiffe://${OWN}/agent/sensor/north/cam-1`);
const OTHER = spiffeId(`spiffe://${OWN}/agent/sensor/north/cam-2`);
const SERVER = spiffeId(`spiffe://${OWN}/service/reports`);
let root: Issued;
let next: Issued;
let closers: (() => void)[];

beforeAll(async () => {
  root = await rootToday();
  next = await rootToday();
});
beforeEach(() => {
  closers = [];
});
afterEach(() => {
  for (const close of closers) close();
});

const svidOf = async (id: SpiffeId, signer = root) => svidFrom(await leafToday(signer, id), id);
const sourceOf = async (id: SpiffeId): Promise<PushedSource> =>
  pushedSource(await svidOf(id), root);
const portOf = (server: tls.Server) => (server.address() as AddressInfo).port;

interface Served {
  readonly server: Server;
  readonly source: PushedSource;
  readonly guard: Guard;
  readonly refusals: string[];
  /** Requests that reached a handler. */
  readonly handled: string[];
}

async function serve(expected: ExpectedPeer, secureOptions?: number): Promise<Served> {
  const source = await sourceOf(SERVER);
  const refusals: string[] = [];
  const handled: string[] = [];
  const options = { ...serverTls(source), ...(secureOptions !== undefined && { secureOptions }) };
  const server = createServer(options, (incoming, response) => {
    const peer = guard.peer(incoming.socket);
    handled.push(incoming.url ?? '');
    response.end(`${peer?.id} ${(incoming.socket as tls.TLSSocket).isSessionReused()}`);
  });
  const guard = guardServer(server, {
    source,
    expected,
    onRefused: ({ code }) => refusals.push(code),
  });
  // Whatever time there is between two requests, it is not this that ends a connection.
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    guard.stop();
    server.close();
    server.closeAllConnections();
  });
  return { server, source, guard, refusals, handled };
}

function agentOf(source: PushedSource, expected: ExpectedPeer = SERVER, keepAlive = false): Agent {
  const agent = httpsAgent(source, expected, { keepAlive });
  closers.push(() => agent.destroy());
  return agent;
}
/** The body, or the error. */
function get(server: tls.Server, agent: Agent): Promise<string> {
  return new Promise((resolve) => {
    const call = request(
      { host: '127.0.0.1', port: portOf(server), path: '/x', agent },
      (answer) => {
        let body = '';
        answer.setEncoding('utf8').on('data', (text) => {
          body += text;
        });
        answer.on('end', () => resolve(body));
      },
    );
    call.on('error', (error) => resolve(`error ${error.message}`));
    call.end();
  });
}
async function open(server: tls.Server, source: PushedSource): Promise<tls.TLSSocket> {
  const options = { port: portOf(server), host: '127.0.0.1', ...clientTls(source, SERVER) };
  const socket = tls.connect(options);
  closers.push(() => socket.destroy());
  socket.on('error', () => undefined).resume();
  await once(socket, 'secureConnect');
  return socket;
}

describe('authorisation by SPIFFE ID (XV-05)', () => {
  const ids = [
    `spiffe://${OWN}/agent/a`,
    `spiffe://${OWN}/agent/a/b`,
    `spiffe://${OWN}/agents/a`,
    `spiffe://${OWN}/agent`,
    'spiffe://other.example/agent/a',
  ].map(spiffeId);
  const [a = CLIENT, , agents = CLIENT, agent = CLIENT] = ids;
  test.each<[string, (id: SpiffeId) => boolean, boolean[]]>([
    ['any member of a trust domain', memberOf(OWN), [true, true, true, true, false]],
    ['one of some', oneOf(a, agents), [true, false, true, false, false]],
    ['one of none', oneOf(), [false, false, false, false, false]],
    ['below a path, by whole segments', below(agent), [true, true, false, false, false]],
    ['below a trust domain', below(spiffeId(`spiffe://${OWN}`)), [true, true, true, true, false]],
  ])('%s', (_what, rule, expected) => {
    expect(ids.map(rule)).toEqual(expected);
  });

  test('the bare trust domain is not below itself', () => {
    const domain = spiffeId(`spiffe://${OWN}`);
    expect(below(domain)(domain)).toBe(false);
    expect(below(domain)(spiffeId('spiffe://city.example.other/a'))).toBe(false);
  });
});

describe('a guarded server (XV-05)', () => {
  test('the handler knows who asks; a client that is not expected never reaches it', async () => {
    const { server, refusals, handled } = await serve(oneOf(CLIENT));
    expect(await get(server, agentOf(await sourceOf(CLIENT)))).toBe(`${CLIENT} false`);
    expect(await get(server, agentOf(await sourceOf(OTHER)))).toMatch(/^error /);
    expect(refusals).toEqual(['PEER_UNEXPECTED']);
    expect(handled).toEqual(['/x']);
  });

  test('bytes that come with the handshake of an unexpected client are not read', async () => {
    const { server, handled, refusals } = await serve(oneOf(CLIENT));
    const options = { port: portOf(server), host: '127.0.0.1' };
    const live = clientTls(await sourceOf(OTHER), SERVER);
    const socket = tls.connect({ ...options, ...live });
    closers.push(() => socket.destroy());
    socket.on('error', () => undefined).resume();
    // In TLS 1.3 the client may send before the server has seen its certificate.
    socket.write('GET /early HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(socket, 'close');
    expect(refusals).toEqual(['PEER_UNEXPECTED']);
    expect(handled).toEqual([]);
  });

  test('it moves to each new SVID; new connections see it, open ones stay', async () => {
    const { server, source } = await serve(memberOf(OWN));
    const socket = await open(server, await sourceOf(CLIENT));
    source.push(await svidOf(SERVER));
    const again = await open(server, await sourceOf(CLIENT));
    const serials = [socket, again].map((one) => one.getPeerCertificate().serialNumber);
    expect(serials[1]?.toLowerCase()).toBe(source.svid().serial);
    expect(serials[0]).not.toBe(serials[1]);
    expect(socket.destroyed).toBe(false);
  });

  test('an authority taken out of the bundle ends the connections it vouched for (C-02, B-01)', async () => {
    const { server, source, refusals } = await serve(memberOf(OWN));
    const socket = await open(server, await sourceOf(CLIENT));
    const closed = once(socket, 'close');
    source.push(await svidOf(SERVER, next), [[OWN, next]]);
    await closed;
    // The new authority has the old one's name.
    expect(refusals).toEqual(['SVID_SIGNATURE_INVALID']);
    const client = pushedSource(await svidOf(CLIENT, next), next);
    expect(await get(server, agentOf(client))).toBe(`${CLIENT} false`);
  });

  test('an identity taken away ends every connection, and lets nobody in (C-05)', async () => {
    const { server, source } = await serve(memberOf(OWN));
    const socket = await open(server, await sourceOf(CLIENT));
    const closed = [once(socket, 'close'), once(server, 'close')];
    source.push(undefined, []);
    await Promise.all(closed);
    expect(server.listening).toBe(false);
  });
});

describe('an agent for https', () => {
  test('each connection is made as the newest SVID', async () => {
    const { server } = await serve(memberOf(OWN));
    const source = await sourceOf(CLIENT);
    const agent = agentOf(source);
    expect(await get(server, agent)).toContain(CLIENT);
    source.push(await svidOf(OTHER));
    expect(await get(server, agent)).toContain(OTHER);
  });

  test('an idle connection of the old SVID is not used again (C-02)', async () => {
    const { server } = await serve(memberOf(OWN));
    const source = await sourceOf(CLIENT);
    const agent = agentOf(source, SERVER, true);
    const connections: Socket[] = [];
    server.on('secureConnection', (socket) => connections.push(socket));
    await get(server, agent);
    await get(server, agent);
    expect(connections).toHaveLength(1);
    source.push(await svidOf(OTHER));
    expect(await get(server, agent)).toContain(OTHER);
    expect(connections).toHaveLength(2);
  });

  test('another server than the expected one gets no request', async () => {
    const { server, handled } = await serve(memberOf(OWN));
    const said = await get(server, agentOf(await sourceOf(CLIENT), OTHER));
    expect(said).toBe(`error PEER_UNEXPECTED: the peer is ${SERVER}`);
    expect(handled).toEqual([]);
  });

  test('a server that hands out tickets is asked who it is each time all the same', async () => {
    const source = await sourceOf(SERVER);
    const reused: boolean[] = [];
    const server = createServer(
      { ...serverTls(source), secureOptions: 0 },
      (incoming, response) => {
        reused.push((incoming.socket as tls.TLSSocket).isSessionReused());
        response.end('hello');
      },
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => server.close());
    const agent = agentOf(await sourceOf(CLIENT));
    expect([await get(server, agent), await get(server, agent)]).toEqual(['hello', 'hello']);
    expect(reused).toEqual([false, false]);
  });

  test('without an identity the request fails, and the program goes on (C-05)', async () => {
    const { server } = await serve(memberOf(OWN));
    const source = await sourceOf(CLIENT);
    const agent = agentOf(source);
    source.push(undefined, []);
    expect(await get(server, agent)).toMatch(/^error no X.509/);
    source.push(await svidOf(CLIENT), [[OWN, root]]);
    expect(await get(server, agent)).toContain(CLIENT);
  });
});
