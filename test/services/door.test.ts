import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { afterEach, expect, test } from 'vitest';
import { attest, createServiceApp, openDoor } from '#services/door.ts';
import { ANALYZER, errorCode, http, json, recordId, SENSOR, verified } from './world.ts';

const open: FastifyInstance[] = [];
afterEach(async () => {
  for (const app of open.splice(0)) await app.close();
});

function service(onFault?: (error: unknown) => void) {
  const app = createServiceApp({ bodyLimit: 1_000, ...(onFault && { onFault }) });
  open.push(app);
  const ran: unknown[] = [];
  app.post('/echo', (request) => {
    ran.push(request.body);
    return { peer: request.peer.id, record: request.peer.recordId, body: request.body };
  });
  app.get('/who', (request) => ({ peer: request.peer.id }));
  app.get('/attested', (request) => {
    attest(request, { kind: 'chat', model: 'm', rid: '1', signed: false });
    return {};
  });
  app.get('/bug', () => {
    throw new Error('secret detail');
  });
  app.get('/large', () => ({ text: 'x'.repeat(600_000) }));
  return { app, door: openDoor(app), ran };
}

test('the verified sender and its record are the request’s peer', async () => {
  const { door } = service();
  const id = recordId();
  const reply = await door(verified(ANALYZER, http('POST', '/echo', { a: 1 }), { id }));
  expect(json(reply)).toEqual({ peer: ANALYZER, record: id, body: { a: 1 } });
});

test('concurrent requests keep their own peers', async () => {
  const { door } = service();
  const peers = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? ANALYZER : SENSOR));
  const replies = await Promise.all(peers.map((peer) => door(verified(peer, http('GET', '/who')))));
  expect(replies.map((reply) => json(reply).peer)).toEqual(peers);
});

test('a request with forged headers and no door gets 401, in process and over a socket', async () => {
  const { app, door, ran } = service();
  const headers = {
    'x-spiffe-id': ANALYZER,
    'x-forwarded-client-cert': `URI=${ANALYZER}`,
    peer: ANALYZER,
    'content-type': 'application/json',
  };
  const injected = await app.inject({ method: 'POST', url: '/echo', headers, payload: '{}' });
  expect([injected.statusCode, injected.json().error.code]).toEqual([401, 'PEER_MISSING']);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const status = await new Promise<number | undefined>((resolve, reject) => {
    httpRequest({ port, host: '127.0.0.1', method: 'POST', path: '/echo', headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end('{}');
  });
  expect(status).toBe(401);
  expect(ran).toHaveLength(0);
  // The twin that comes through the door is served by the same app.
  expect((await door(verified(ANALYZER, http('POST', '/echo', {})))).response.status).toBe(200);
});

test('an unknown route is 401 without a peer, and 404 with one', async () => {
  const { app, door } = service();
  expect((await app.inject({ method: 'GET', url: '/nothing' })).statusCode).toBe(401);
  expect(errorCode(await door(verified(ANALYZER, http('GET', '/nothing'))))).toBe('ROUTE_UNKNOWN');
});

test('a JSON array is refused before the route, an object of the same size is not', async () => {
  const { door, ran } = service();
  expect(errorCode(await door(verified(ANALYZER, http('POST', '/echo', [{}, {}]))))).toBe(
    'BATCH_REFUSED',
  );
  expect(ran).toHaveLength(0);
  expect((await door(verified(ANALYZER, http('POST', '/echo', {})))).response.status).toBe(200);
});

test.each([
  ['a body over the limit', http('POST', '/echo', { a: 'x'.repeat(1_000) }), 413, 'BODY_TOO_LARGE'],
  ['broken JSON', http('POST', '/echo', '{"a":'), 400, 'BODY_INVALID'],
  ['a prototype in the body', http('POST', '/echo', '{"__proto__":{"a":1}}'), 400, 'BODY_INVALID'],
  [
    'another content type',
    { ...http('POST', '/echo', 'a=1'), contentType: 'application/x-www-form-urlencoded' },
    415,
    'CONTENT_TYPE_REFUSED',
  ],
  [
    'text',
    { ...http('POST', '/echo', 'a'), contentType: 'text/plain' },
    415,
    'CONTENT_TYPE_REFUSED',
  ],
  ['a host in the path', http('GET', '//evil/who'), 400, 'PATH_INVALID'],
  ['an absolute URL', http('GET', 'http://evil/who'), 400, 'PATH_INVALID'],
  ['dot segments', http('GET', '/a/../who'), 400, 'PATH_INVALID'],
  ['an escaped path', http('GET', '/%77ho'), 400, 'PATH_INVALID'],
  ['a query', http('GET', '/who?as=root'), 400, 'PATH_INVALID'],
  ['an endless path', http('GET', `/${'a'.repeat(600)}`), 400, 'PATH_INVALID'],
])('%s is refused with a code', async (_what, payload, status, code) => {
  const { door, ran } = service();
  const reply = await door(verified(ANALYZER, payload));
  expect([reply.response.status, errorCode(reply)]).toEqual([status, code]);
  expect(ran).toHaveLength(0);
});

test('a content type that would break a header is refused, not thrown at', async () => {
  const { door } = service();
  const payload = { ...http('POST', '/echo', {}), contentType: 'application/json\r\nx-peer: root' };
  expect((await door(verified(ANALYZER, payload))).response.status).toBeGreaterThanOrEqual(400);
});

test('a bug behind a route is reported inside and says nothing outside', async () => {
  const faults: unknown[] = [];
  const { door } = service((error) => faults.push(error));
  const reply = await door(verified(ANALYZER, http('GET', '/bug')));
  expect([reply.response.status, errorCode(reply)]).toEqual([500, 'INTERNAL']);
  expect(reply.response.body).not.toContain('secret');
  expect(faults).toHaveLength(1);
});

test('an answer too large for a message is refused here', async () => {
  const { door } = service();
  expect(errorCode(await door(verified(ANALYZER, http('GET', '/large'))))).toBe(
    'RESPONSE_TOO_LARGE',
  );
});

test('what a route attests leaves with its answer, and with no other', async () => {
  const { door } = service();
  expect((await door(verified(ANALYZER, http('GET', '/attested')))).tool).toEqual({
    kind: 'chat',
    model: 'm',
    rid: '1',
    signed: false,
  });
  expect((await door(verified(ANALYZER, http('GET', '/who')))).tool).toBeUndefined();
});
