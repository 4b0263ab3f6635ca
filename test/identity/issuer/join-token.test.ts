import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bundleFromCertificates } from '#identity/bundle.ts';
import type { JoinTokenReply } from '#identity/issuer/launcher-link.ts';
import { verifyLog } from '#identity/issuer/log.ts';
import {
  joinNode,
  type NodeEndpoint,
  type NodeIdentity,
  nodeEntries,
  nodeSvids,
  renewNode,
} from '#identity/node/client.ts';
import type { Outcome } from '#identity/outcome.ts';
import { Bench, sensorEntry, TRUST_DOMAIN } from './harness.ts';
import { fetchOnce } from './raw-client.ts';

function must<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw new Error(`${outcome.code}: ${outcome.detail}`);
  return outcome.value;
}

describe('join tokens, over TLS', () => {
  let bench: Bench;
  let now: Date;
  let said: string[];
  const start = () =>
    bench.start({ clock: () => now, say: (line) => said.push(line), stateDir: stateDir() });
  const stateDir = () => join(bench.folder, 'state');
  beforeEach(async () => {
    bench = new Bench();
    now = new Date();
    said = [];
    await start();
  });
  afterEach(() => bench.stop());

  const tokenOf = async (ttl = 600) => must(await bench.link.joinToken({ ttl }));
  function endpoint({ address }: JoinTokenReply): NodeEndpoint {
    const [host = '', port] = address.split(':');
    const bundle = must(bundleFromCertificates(TRUST_DOMAIN, bench.issuer.bundle()));
    return { host, port: Number(port), bundle, now: () => now };
  }
  const codeOf = (outcome: Outcome<unknown>) => (outcome.ok ? 'OK' : outcome.code);
  const childOf = (node: NodeIdentity, path: string) =>
    sensorEntry({ spiffe_id: `spiffe://${TRUST_DOMAIN}${path}`, parent_id: node.svid.id });

  test('a token lets one agent in, under the ID that was told when it was made', async () => {
    const made = await tokenOf();
    const node = must(await joinNode(endpoint(made), made.token));
    expect(node.svid.id).toBe(made.agentId);
    expect(made.agentId).toMatch(
      /^spiffe:\/\/city\.example\/spire\/agent\/join_token\/[0-9a-f]{32}$/,
    );
    expect(node.bundle.jwt.keys.size).toBe(1);
    const rows = bench.issuer.pending(10);
    expect(verifyLog(rows)).toMatchObject({ ok: true });
    expect(rows.map(({ body }) => JSON.parse(body).spiffe_id)).toContain(made.agentId);
  });

  test('used again it is TOKEN_USED; unknown TOKEN_UNKNOWN; ended TOKEN_EXPIRED; each is logged', async () => {
    const [made, other] = [await tokenOf(), await tokenOf(10)];
    const at = endpoint(made);
    expect(codeOf(await joinNode(at, made.token))).toBe('OK');
    expect(codeOf(await joinNode(at, made.token))).toBe('TOKEN_USED');
    expect(codeOf(await joinNode(at, 'A'.repeat(43)))).toBe('TOKEN_UNKNOWN');
    expect(codeOf(await joinNode(at, 'nonsense'))).toBe('TOKEN_UNKNOWN');
    now = new Date(now.getTime() + 11_000);
    expect(codeOf(await joinNode(at, other.token))).toBe('TOKEN_EXPIRED');
    for (const code of ['TOKEN_USED', 'TOKEN_UNKNOWN', 'TOKEN_EXPIRED']) {
      expect(said.join('\n')).toContain(code);
    }
    // A token is never told to anybody but the operator.
    for (const secret of [made.token, other.token]) expect(said.join('\n')).not.toContain(secret);
  });

  test('of many at once with one token exactly one comes in', async () => {
    const made = await tokenOf();
    const at = endpoint(made);
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => joinNode(at, made.token)));
    expect(outcomes.map(codeOf).sort()).toEqual(['OK', ...Array(7).fill('TOKEN_USED')]);
  });

  test('a used token stays used, and a joined node stays joined, when the issuer starts again', async () => {
    const made = await tokenOf();
    const node = must(await joinNode(endpoint(made), made.token));
    bench.link.close();
    await bench.issuer.close();
    await start();
    // The same port: nodes must find it again. The bundle is that of before.
    const at = endpoint(made);
    expect(codeOf(await joinNode(at, made.token))).toBe('TOKEN_USED');
    expect(await nodeEntries(at, node)).toMatchObject({ ok: true, value: [] });
  });

  test('the database has no token in it', async () => {
    const made = await tokenOf();
    const bytes = ['issuer.db', 'issuer.db-wal'].map((name) =>
      readFileSync(join(stateDir(), name)),
    );
    expect(Buffer.concat(bytes).includes(made.token)).toBe(false);
    expect(Buffer.concat(bytes).includes(made.agentId)).toBe(true);
  });

  test('a lifetime of no length, or of years, is refused', async () => {
    for (const ttl of [0, 9, 8 * 24 * 3600]) {
      expect(codeOf(await bench.link.joinToken({ ttl }))).toBe('TOKEN_LIFETIME');
    }
    expect(codeOf(await bench.link.joinToken({ ttl: 10 }))).toBe('OK');
  });

  test('a node gets SVIDs for the entries under it, and for no others', async () => {
    const [made, second] = [await tokenOf(), await tokenOf()];
    const at = endpoint(made);
    const node = must(await joinNode(at, made.token));
    const stranger = must(await joinNode(at, second.token));
    const added = must(
      await bench.link.addEntries([childOf(node, '/remote/a'), childOf(stranger, '/remote/b')]),
    );
    const [mine = '', theirs = ''] = added.entries.map(({ entry }) => entry.id);
    expect(must(await nodeEntries(at, node)).map((entry) => entry.entry_id)).toEqual([mine]);
    const svids = must(await nodeSvids(at, node, [mine]));
    expect(svids.get(mine)?.id).toBe(`spiffe://${TRUST_DOMAIN}/remote/a`);
    expect(codeOf(await nodeSvids(at, node, [theirs]))).toBe('ENTRY_UNKNOWN');
    expect(codeOf(await nodeSvids(at, node, [mine, theirs]))).toBe('ENTRY_UNKNOWN');
    // Nor does a workload on the issuer's own machine get what is for one on the node's.
    await bench.attestSelf();
    expect(await fetchOnce(bench.socketPath)).not.toContain(`spiffe://${TRUST_DOMAIN}/remote/a`);
  });

  test('an alias is a parent too, as with SPIRE: an entry under the server with the node’s selector', async () => {
    const made = await tokenOf();
    const node = must(await joinNode(endpoint(made), made.token));
    const alias = `spiffe://${TRUST_DOMAIN}/machine/edge-1`;
    await bench.link.addEntries([
      sensorEntry({
        spiffe_id: alias,
        selectors: [{ type: 'spiffe_id', value: made.agentId }],
      }),
      sensorEntry({ spiffe_id: `spiffe://${TRUST_DOMAIN}/remote/x`, parent_id: alias }),
    ]);
    const entries = must(await nodeEntries(endpoint(made), node));
    expect(entries.map((entry) => entry.spiffe_id)).toEqual([`spiffe://${TRUST_DOMAIN}/remote/x`]);
  });

  test('a renewed node shows its new SVID; from then on the old one is nobody’s', async () => {
    const made = await tokenOf();
    const at = endpoint(made);
    const old = must(await joinNode(at, made.token));
    const fresh = must(await renewNode(at, old));
    expect(fresh.svid.id).toBe(old.svid.id);
    // The answer may have been lost: the old one serves until the new one is shown.
    expect(codeOf(await nodeEntries(at, old))).toBe('OK');
    expect(codeOf(await nodeEntries(at, fresh))).toBe('OK');
    expect(codeOf(await nodeEntries(at, old))).toBe('NODE_UNKNOWN');
  });

  test('another identity of the trust domain is no node, and neither is nobody', async () => {
    const made = await tokenOf();
    const at = endpoint(made);
    const node = must(await joinNode(at, made.token));
    const added = must(await bench.link.addEntries([childOf(node, '/remote/a')]));
    const [id = ''] = added.entries.map(({ entry }) => entry.id);
    const svid = must(await nodeSvids(at, node, [id])).get(id);
    if (svid === undefined) throw new Error('no SVID');
    expect(codeOf(await nodeEntries(at, { ...node, svid }))).toBe('NODE_UNVERIFIED');
    now = new Date(now.getTime() + 2 * 3_600_000);
    expect(codeOf(await nodeEntries(at, node))).not.toBe('OK');
  });

  test('a clock of the issuer that steps back puts no node out: NODE_UNVERIFIED until it is right again', async () => {
    const made = await tokenOf();
    const at = endpoint(made);
    const node = must(await joinNode(at, made.token));
    const right = now;
    now = new Date(right.getTime() - 600_000);
    expect(codeOf(await nodeEntries({ ...at, now: () => right }, node))).toBe('NODE_UNVERIFIED');
    now = right;
    expect(codeOf(await nodeEntries(at, node))).toBe('OK');
  });

  test('no session can be resumed, also after the server has a new certificate (XV-05)', async () => {
    const made = await tokenOf();
    const { host, port } = endpoint(made);
    const connection = async (session?: Buffer) => {
      const socket = connectTls({ host, port, rejectUnauthorized: false, session });
      let last: Buffer | undefined;
      socket.on('session', (one) => {
        last = one;
      });
      await once(socket, 'secureConnect');
      const serial = socket.getPeerX509Certificate()?.serialNumber;
      const reused = socket.isSessionReused();
      // An answer shows that whatever came with the handshake has been read.
      socket.write('POST /v1/none HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}');
      await once(socket, 'data');
      socket.destroy();
      return { session: last, serial, reused };
    };
    const before = await connection();
    expect((await connection(before.session)).reused).toBe(false);
    now = new Date(now.getTime() + 13 * 3_600_000);
    await bench.issuer.housekeep();
    const after = await connection();
    expect(after.serial).not.toBe(before.serial);
    expect((await connection(after.session)).reused).toBe(false);
  });

  test('an agent does not talk to an issuer that its bundle does not prove', async () => {
    const impostor = new Bench();
    try {
      await impostor.start();
      const theirs = must(await impostor.link.joinToken({ ttl: 600 }));
      const made = await tokenOf();
      const deceived = { ...endpoint(theirs), bundle: endpoint(made).bundle };
      expect(codeOf(await joinNode(deceived, made.token))).toBe('NODE_SERVER_UNPROVEN');
      // The token was not even sent: it is still good.
      expect(codeOf(await joinNode(endpoint(made), made.token))).toBe('OK');
    } finally {
      await impostor.stop();
    }
  });

  test('bytes that are no TLS, and bodies that are no request, cost their sender alone', async () => {
    const made = await tokenOf();
    const at = endpoint(made);
    const socket = connect(at.port, at.host);
    socket.on('error', () => {}).resume();
    socket.end('GET / HTTP/1.1\r\n\r\n');
    await once(socket, 'close');
    expect(codeOf(await joinNode(at, 'x'.repeat(100_000)))).not.toBe('OK');
    expect(codeOf(await joinNode(at, made.token))).toBe('OK');
  });

  test('nobody listens before there is a token, and a port that is taken is said', async () => {
    const fresh = new Bench();
    try {
      await fresh.start();
      const made = await tokenOf();
      const taken = await fresh.link.joinToken({ ttl: 600, listen: made.address });
      expect(codeOf(taken)).toBe('NODE_ENDPOINT_UNUSABLE');
      expect(codeOf(await fresh.link.joinToken({ ttl: 600, listen: 'here' }))).toBe(
        'NODE_ENDPOINT_UNUSABLE',
      );
      const open = must(await fresh.link.joinToken({ ttl: 600 }));
      // What cannot be opened elsewhere stays open where it is.
      expect(codeOf(await fresh.link.joinToken({ ttl: 600, listen: made.address }))).toBe(
        'NODE_ENDPOINT_UNUSABLE',
      );
      expect(must(await fresh.link.joinToken({ ttl: 600 })).address).toBe(open.address);
    } finally {
      await fresh.stop();
    }
  });
});
