import { createUser } from '@nats-io/nkeys';
import { connect, nkeyAuthenticator } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLink } from '#bus/client/link.ts';
import { connectNats } from '#bus/client/nats.ts';
import { clientTls } from '#identity/tls.ts';
import { MEMBERS, startSwarm, type TestSwarm, violation } from '#test/support/swarm.ts';
import {
  bundleSet,
  createTestCa,
  type LeafOptions,
  type TestCa,
  testSource,
} from '#test/support/test-ca.ts';

let swarm: TestSwarm;
let partner: TestCa;

beforeAll(async () => {
  partner = await createTestCa('partner.example');
  swarm = await startSwarm({ federated: [partner] });
});
afterAll(() => swarm?.stop());

async function tryConnect(
  leaf: LeafOptions,
  ca?: TestCa,
  member = MEMBERS.camera,
  refusedByTls = false,
) {
  const before = swarm.decisions.length;
  const source = await swarm.source(member, leaf, ca);
  try {
    // Who is refused in the TLS handshake is told nothing more: the client waits to its limit.
    const limits = { firstConnectMs: 0, ...(refusedByTls && { connectMs: 1000 }) };
    const link = await openLink({ ...swarm.connection(source), ...limits });
    await link.close();
    return 'in';
  } catch (error) {
    const [decision] = swarm.decisions.slice(before);
    if (decision === undefined) return `tls: ${(error as Error).message}`;
    return decision.ok ? 'admitted, then failed' : decision.code;
  }
}

describe('the gate', () => {
  test('lets a member in with its own SVID', async () => {
    expect(await tryConnect({})).toBe('in');
  });

  const own = { type: 'url' as const, value: MEMBERS.camera.id };
  const attacks: readonly (readonly [string, LeafOptions, RegExp])[] = [
    [
      'two URI SANs',
      { sans: [own, { type: 'url', value: MEMBERS.ledger.id }] },
      /^GATE_SVID_INVALID$/,
    ],
    ['CA:TRUE', { ca: true }, /^GATE_SVID_INVALID$/],
    [
      'a DNS SAN first and the wrong URI',
      {
        sans: [
          { type: 'dns', value: 'cam-1' },
          { type: 'url', value: 'https://city.example/x' },
        ],
      },
      /^GATE_SVID_INVALID$/,
    ],
    ['an expired leaf', { notAfter: new Date(Date.now() - 1000) }, /^tls: /],
  ];
  for (const [name, leaf, outcome] of attacks) {
    test(`refuses a certificate with ${name}`, async () => {
      const refusedByTls = outcome.source.startsWith('^tls');
      expect(await tryConnect(leaf, undefined, undefined, refusedByTls)).toMatch(outcome);
    });
  }

  test('refuses a certificate of a CA that nobody trusts', async () => {
    const unknown = await createTestCa('city.example');
    expect(await tryConnect({}, unknown, undefined, true)).toMatch(/^tls: /);
  });

  test('refuses a federated CA that mints a local member, the gate or the supervisor', async () => {
    for (const member of [MEMBERS.camera, MEMBERS.gate, MEMBERS.supervisor]) {
      expect(await tryConnect({}, partner, member)).toBe('GATE_SVID_INVALID');
    }
  });

  test('refuses a genuine identity that is no member', async () => {
    const foreign = await partner.issue('spiffe://partner.example/agent/sensor/x/y');
    const before = swarm.decisions.length;
    const source = testSource(foreign, bundleSet(swarm.ca, partner));
    await expect(openLink({ ...swarm.connection(source), firstConnectMs: 0 })).rejects.toThrow(
      /cannot connect/,
    );
    expect(swarm.decisions[before]).toMatchObject({ ok: false, code: 'GATE_NOT_A_MEMBER' });
  });

  test('refuses empty, missing, failing and unsafe permissions', async () => {
    const { id } = MEMBERS.camera;
    const honest = swarm.permissions.get(id);
    if (honest === undefined) throw new Error('the fixture grants the camera something');
    const lists = (publish: string[], subscribe: string[]) => ({
      publish: { allow: publish },
      subscribe: { allow: subscribe },
    });
    try {
      swarm.permissions.set(id, lists([], []));
      expect(await tryConnect({})).toBe('GATE_NO_PERMISSIONS');
      swarm.permissions.delete(id);
      expect(await tryConnect({})).toBe('GATE_NO_PERMISSIONS');
      const pull = '$JS.API.CONSUMER.MSG.NEXT.READING.sensor-cam-1';
      const unsafe = ['>', '*', '*.>', '$JS.API.>', pull, '$JS.ACK.READING.x.>', 'a b', 'a..b', ''];
      for (const subject of unsafe) {
        swarm.permissions.set(id, lists([subject], []));
        expect(await tryConnect({})).toBe('GATE_PERMISSIONS_MALFORMED');
      }
      for (const subject of ['>', 'svc.a.* q extra', 'svc.a.* *', '$SYS.>']) {
        swarm.permissions.set(id, lists(['north.reading.sensor-cam-1'], [subject]));
        expect(await tryConnect({})).toBe('GATE_PERMISSIONS_MALFORMED');
      }
    } finally {
      swarm.permissions.set(id, honest);
    }
    expect(await tryConnect({})).toBe('in');
  });

  test('an empty side of the permissions allows nothing, not everything', async () => {
    const { id } = MEMBERS.camera2;
    const honest = swarm.permissions.get(id);
    if (honest === undefined) throw new Error('the fixture grants the camera something');
    swarm.permissions.set(id, { publish: { allow: [] }, subscribe: { allow: ['a.b'] } });
    const nats = await connectNats(swarm.connection(await swarm.source(MEMBERS.camera2)));
    const error = violation(nats);
    nats.publish('north.reading.sensor-cam-1');
    expect(await error).toMatch(/publish/i);
    await nats.close();
    swarm.permissions.set(id, honest);
  });

  test('refuses what is revoked', async () => {
    swarm.revoked.add(MEMBERS.camera.id);
    expect(await tryConnect({})).toBe('GATE_SVID_REVOKED');
    swarm.revoked.delete(MEMBERS.camera.id);
    expect(await tryConnect({})).toBe('in');
  });

  test('refuses a CONNECT that names somebody else or offers another credential', async () => {
    const { camera, ledger } = MEMBERS;
    const base = { servers: swarm.broker.url, timeout: 30_000, reconnect: false };
    const brokerId = swarm.connection(await swarm.source(camera)).brokerId;
    const tls = clientTls(await swarm.source(camera), brokerId);
    for (const wrong of [
      { name: ledger.id },
      { user: ledger.id, pass: 'x' },
      { token: 'x' },
      { authenticator: nkeyAuthenticator(createUser().getSeed()) },
    ]) {
      const before = swarm.decisions.length;
      await expect(connect({ ...base, tls, ...wrong })).rejects.toThrow();
      expect(swarm.decisions[before]).toMatchObject({
        ok: false,
        code: 'GATE_CONNECT_CONTRADICTS',
      });
    }
    const honest = await connect({ ...base, tls, name: camera.id });
    await honest.close();
  });

  test('a client refuses a broker with another identity', async () => {
    const connection = swarm.connection(await swarm.source(MEMBERS.camera));
    const wrong = { ...connection, brokerId: MEMBERS.ledger.id, firstConnectMs: 0 };
    await expect(openLink(wrong)).rejects.toThrow(/PEER_UNEXPECTED/);
  });

  test('an SVID’s end closes its connection, and the old SVID opens none', async () => {
    // Long enough that it is in before its end, also on a machine that stalls.
    const source = await swarm.source(MEMBERS.camera, { notAfter: new Date(Date.now() + 12_000) });
    const nats = await connectNats(swarm.connection(source));
    for await (const event of nats.status()) if (event.type === 'disconnect') break;
    expect(Date.now()).toBeGreaterThanOrEqual(source.svid().notAfter.getTime() - 1000);
    await nats.close();
    const again = { ...swarm.connection(source), firstConnectMs: 0, connectMs: 1000 };
    await expect(openLink(again)).rejects.toThrow(/cannot connect/);
    expect(await tryConnect({})).toBe('in');
  });

  test('without a gate nobody gets in', async () => {
    await swarm.stopGate();
    const source = await swarm.source(MEMBERS.camera);
    const limits = { firstConnectMs: 0, connectMs: 2000 };
    const attempt = openLink({ ...swarm.connection(source), ...limits });
    await expect(attempt).rejects.toThrow(/cannot connect/);
    await swarm.startGate();
    expect(await tryConnect({})).toBe('in');
  });
});
