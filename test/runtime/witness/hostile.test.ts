import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { createWitnessClient } from '#runtime/witness/client.ts';
import { MAX_REQUEST_BYTES } from '#runtime/witness/protocol.ts';
import { serveWitness, type WitnessLimits } from '#runtime/witness/server.ts';
import { testLog } from '#test/custody/log/support.ts';
import { value } from '../support.ts';
import { entries, places, request } from './support.ts';

const place = places();

async function setUp(limits: Partial<WitnessLimits> = {}) {
  const at = await place();
  const witness = await at.start({ limits });
  const { socketPath } = at;
  const client = createWitnessClient({ name: 'w', socketPath, timeoutMs: 20_000 });
  const log = testLog(entries(5));
  return { ...at, witness, honest: () => client.add(request(log, 5, 5)), client, log };
}

/** Says something and resolves with all that comes back, when the other side has closed. */
async function say(socketPath: string, bytes: string | Buffer): Promise<string> {
  const socket = connect(socketPath);
  let said = '';
  socket.on('data', (data) => {
    said += data.toString('latin1');
  });
  socket.on('error', () => {});
  socket.write(bytes);
  await new Promise((resolve) => socket.once('close', resolve));
  return said;
}

const post = (length: number | string, body = ''): string =>
  `POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n${body}`;

test('what is no HTTP, or too much of it, ends its own connection and nothing else', async () => {
  const { socketPath, honest, client, log } = await setUp({ requestMs: 300, idleMs: 600 });
  /** Its time is short, for the sake of those that never end: a machine that stalls uses it up. */
  const served = async () => (await honest()).ok;
  await expect.poll(async () => (await client.add(request(log, 0))) && served()).toBe(true);
  const garbage: readonly (string | Buffer)[] = [
    Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 7 + 13) % 256)),
    'GET /',
    `GET / HTTP/1.1\r\nHost: x\r\n${'x: y\r\n'.repeat(5000)}\r\n`,
    `GET /${'a'.repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    'POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    'POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n',
    'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n',
    post(-1),
    post('9'.repeat(30)),
    post(10, 'old 0'),
    // Requests in one breath: the second of them is not waited for.
    'GET /forks HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1000),
  ];
  await Promise.all(garbage.map((bytes) => say(socketPath, bytes)));
  const huge = post(MAX_REQUEST_BYTES + 1, 'a'.repeat(MAX_REQUEST_BYTES + 1));
  await expect.poll(() => say(socketPath, huge)).toMatch(/^HTTP\/1.1 400 /);
  expect(await say(socketPath, post(2 ** 40, 'a'.repeat(MAX_REQUEST_BYTES * 2)))).toMatch(
    /^(HTTP\/1.1 400 |$)/,
  );
  await expect.poll(served).toBe(true);
});

test('whoever holds a thousand connections, silent or sending byte by byte, keeps nobody out', async () => {
  const { socketPath, honest, client, log } = await setUp({ requestMs: 60_000, idleMs: 60_000 });
  await client.add(request(log, 0));
  const sockets: Socket[] = [];
  try {
    for (let index = 0; index < 1000; index += 1) {
      const socket = connect(socketPath);
      socket.on('error', () => {});
      sockets.push(socket);
      await once(socket, 'connect');
      // A third says nothing, a third begins its headers, a third its body.
      if (index % 3 === 1) socket.write('POST /add-checkpoint HTTP/1.1\r\nHo');
      if (index % 3 === 2) socket.write(post(1000, 'old 5\n'));
    }
    for (let index = 0; index < 10; index += 1) expect(await honest()).toMatchObject({ ok: true });
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});

test('a client ends in time with a witness that is silent, slow, endless or a liar', async () => {
  const at = await place();
  const log = testLog(entries(3));
  const answers: readonly [string, string, timeoutMs?: number][] = [
    ['', 'WITNESS_UNREACHABLE', 300],
    ['HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n', 'WITNESS_UNREACHABLE', 300],
    [`HTTP/1.1 200 OK\r\n\r\n${'a'.repeat(100_000)}`, 'WITNESS_UNREACHABLE', 300],
    ['garbage\r\n\r\n', 'WITNESS_UNREACHABLE'],
    ['HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n', 'WITNESS_UNREACHABLE'],
    [
      'HTTP/1.1 409 Conflict\r\nContent-Type: text/x.tlog.size\r\nContent-Length: 3\r\n\r\n-1\n',
      'WITNESS_UNREACHABLE',
    ],
    // Its words count only as far as its status agrees.
    ['HTTP/1.1 403 No\r\nContent-Length: 16\r\n\r\nWITNESS_FORK: a\n', 'WITNESS_UNREACHABLE'],
    ['HTTP/1.1 422 No\r\nContent-Length: 16\r\n\r\nWITNESS_FORK: a\n', 'WITNESS_FORK'],
  ];
  for (const [bytes, code, timeoutMs = 30_000] of answers) {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.write(bytes);
    });
    server.listen(at.socketPath);
    await once(server, 'listening');
    const client = createWitnessClient({ name: 'w', socketPath: at.socketPath, timeoutMs });
    expect(await client.add(request(log, 0)), bytes.slice(0, 40)).toMatchObject({ code });
    server.close();
  }
});

test('a witness that breaks answers nothing and lives on', async () => {
  const at = await place();
  const server = value(
    await serveWitness({
      socketPath: at.socketPath,
      origins: [],
      forks: () => [],
      last: async () => undefined,
      witness: { cosign: () => Promise.reject(new Error('a bug')) },
    }),
  );
  const { socketPath } = at;
  const client = createWitnessClient({ name: 'w', socketPath, timeoutMs: 5000 });
  const log = testLog(entries(3));
  expect(await client.add(request(log, 0))).toMatchObject({ code: 'WITNESS_UNREACHABLE' });
  expect(await client.add(request(log, 0))).toMatchObject({ code: 'WITNESS_UNREACHABLE' });
  await server.close();
});
