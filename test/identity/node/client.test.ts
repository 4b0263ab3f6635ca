import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  joinNode,
  type NodeIdentity,
  nodeEntries,
  nodeSvids,
  nodeToken,
  renewNode,
  watchNode,
} from '#identity/node/client.ts';
import { Bench, sensorEntry } from '#test/identity/issuer/harness.ts';
import { codeOf, endpointOf, must, oddIssuer } from './support.ts';

const TOKEN = 'A'.repeat(43);

describe('an issuer that does not answer as one', () => {
  let bench: Bench;
  let node: NodeIdentity;
  let entryId: string;
  beforeEach(async () => {
    bench = new Bench();
    await bench.start();
    const made = must(await bench.link.joinToken({ ttl: 600 }));
    node = must(await joinNode(endpointOf(bench, made), made.token));
    const added = must(
      await bench.link.addEntries([sensorEntry({ parent_id: node.svid.id, jwt_svid_ttl: 60 })]),
    );
    entryId = added.entries[0]?.entry.id ?? '';
    // The honest twin of every case below.
    const at = endpointOf(bench, made);
    const [entry] = must(await watchNode(at, node, '')).entries;
    if (entry === undefined) throw new Error('no entry');
    expect(codeOf(await nodeEntries(at, node))).toBe('OK');
    expect(codeOf(await nodeSvids(at, node, [entryId]))).toBe('OK');
    expect(codeOf(await nodeToken(at, node, entry, ['bank']))).toBe('OK');
    expect(codeOf(await renewNode(at, node))).toBe('OK');
  });
  afterEach(() => bench.stop());

  const everything = {
    join: (at: Parameters<typeof joinNode>[0]) => joinNode(at, TOKEN),
    renew: (at: Parameters<typeof joinNode>[0]) => renewNode(at, node),
    entries: (at: Parameters<typeof joinNode>[0]) => nodeEntries(at, node),
    news: (at: Parameters<typeof joinNode>[0]) => watchNode(at, node, ''),
    svids: (at: Parameters<typeof joinNode>[0]) => nodeSvids(at, node, [entryId]),
    token: (at: Parameters<typeof joinNode>[0]) =>
      nodeToken(at, node, { id: entryId, spiffe_id: node.svid.id }, ['bank']),
  };

  test.each([
    ['no JSON', 'OK'],
    ['an array', '[]'],
    ['nothing of what was asked', '{}'],
    ['an unknown code', '{"code":"BECAUSE","detail":"no"}'],
    [
      'a chain that is none',
      '{"chain":["AAAA"],"bundle":"{\\"keys\\":[]}","svids":[{"entryId":"x"}]}',
    ],
    ['entries of another form', '{"entries":[1],"mark":1,"bundle":"{\\"keys\\":[]}"}'],
    ['a token that is none', '{"token":"a.b.c"}'],
  ])('%s is NODE_ANSWER_INVALID, whatever was asked', async (_name, body) => {
    const odd = await oddIssuer((_request, response) => response.end(body));
    try {
      for (const ask of Object.values(everything)) {
        expect(codeOf(await ask(odd.endpoint))).toBe('NODE_ANSWER_INVALID');
      }
    } finally {
      await odd.stop();
    }
  });

  test('an SVID over another key than the one that was made here is NODE_ANSWER_INVALID', async () => {
    const document = must(await bench.link.bundleDocument()).document;
    const chain = node.svid.certificates.map((der) => Buffer.from(der).toString('base64'));
    const odd = await oddIssuer((_request, response) =>
      response.end(JSON.stringify({ chain, bundle: document, svids: [{ entryId, chain }] })),
    );
    try {
      expect(codeOf(await joinNode(odd.endpoint, TOKEN))).toBe('NODE_ANSWER_INVALID');
      expect(codeOf(await nodeSvids(odd.endpoint, node, [entryId]))).toBe('NODE_ANSWER_INVALID');
    } finally {
      await odd.stop();
    }
  });

  test('nobody there, or one who hangs up, is NODE_UNREACHABLE', async () => {
    const { bundle } = endpointOf(bench, must(await bench.link.joinToken({ ttl: 600 })));
    const nobody = { host: '127.0.0.1', port: 1, bundle };
    expect(codeOf(await joinNode(nobody, TOKEN))).toBe('NODE_UNREACHABLE');
    const hangsUp = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(hangsUp, 'listening');
    const { port } = hangsUp.address() as AddressInfo;
    expect(codeOf(await joinNode({ ...nobody, port }, TOKEN))).toBe('NODE_UNREACHABLE');
    hangsUp.close();
    const breaksOff = await oddIssuer((request) => request.socket.destroy());
    expect(codeOf(await joinNode(breaksOff.endpoint, TOKEN))).toBe('NODE_UNREACHABLE');
    await breaksOff.stop();
  });

  test('one who speaks something else, or has another certificate, is NODE_SERVER_UNPROVEN', async () => {
    const { bundle } = endpointOf(bench, must(await bench.link.joinToken({ ttl: 600 })));
    const plain = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'));
    plain.listen(0, '127.0.0.1');
    await once(plain, 'listening');
    const { port } = plain.address() as AddressInfo;
    const at = { host: '127.0.0.1', port, bundle };
    expect(codeOf(await joinNode(at, TOKEN))).toBe('NODE_SERVER_UNPROVEN');
    plain.close();
    const odd = await oddIssuer((_request, response) => response.end('{}'));
    expect(codeOf(await joinNode({ ...odd.endpoint, bundle }, TOKEN))).toBe('NODE_SERVER_UNPROVEN');
    await odd.stop();
  });

  test('an answer without an end is cut off', async () => {
    const odd = await oddIssuer((_request, response) => {
      const part = Buffer.alloc(1024 * 1024, 0x20);
      const more = (): void => {
        if (!response.destroyed) response.write(part, more);
      };
      response.on('error', () => {});
      more();
    });
    expect(codeOf(await nodeEntries(odd.endpoint, node))).toBe('NODE_UNREACHABLE');
    await odd.stop();
  });
});
