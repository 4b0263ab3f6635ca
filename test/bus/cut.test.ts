import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectNats, type NatsConnection } from '#bus/client/nats.ts';
import { cutConnections } from '#bus/cut.ts';
import { MEMBERS, startSwarm, type TestSwarm } from '#test/support/swarm.ts';

let swarm: TestSwarm;
const revoked = new Set<string>();
beforeAll(async () => {
  swarm = await startSwarm({
    standing: {
      judge: ({ thumbprint }) => (revoked.has(thumbprint) ? 'revoked' : 'standing'),
      watch: () => () => {},
    },
  });
});
afterAll(() => swarm?.stop());

async function disconnected(nats: NatsConnection): Promise<void> {
  for await (const { type } of nats.status()) if (type === 'disconnect') return;
}

test('cuts the connections under a revoked certificate, and no other of the same identity', async () => {
  const [old, next] = [await swarm.source(MEMBERS.camera), await swarm.source(MEMBERS.camera)];
  const [one, two, other] = await Promise.all(
    [old, old, next].map((source) => connectNats(swarm.connection(source))),
  );
  if (one === undefined || two === undefined || other === undefined) throw new Error('three');
  const gone = Promise.all([disconnected(one), disconnected(two)]);
  revoked.add(old.svid().thumbprint);
  const system = {
    ...swarm.connection(await swarm.source(MEMBERS.supervisor)),
    nkeySeed: swarm.broker.systemSeed,
  };
  // Who comes again while that goes on, and is about to be refused, is cut and counted once more.
  expect(await cutConnections(system, revoked)).toBeGreaterThanOrEqual(2);
  await gone;
  await other.flush();
  expect(other.isClosed()).toBe(false);
  // Who was cut comes again and is refused.
  const refused = () => swarm.decisions.filter((decision) => !decision.ok);
  while (refused().length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(refused()).toContainEqual(expect.objectContaining({ code: 'GATE_SVID_REVOKED' }));
  await expect.poll(() => cutConnections(system, revoked)).toBe(0);
  await Promise.all([one, two, other].map((nats) => nats.close()));
});

test('a key of another account sees no connection of the swarm, and cuts none', async () => {
  const source = await swarm.source(MEMBERS.camera);
  const own = await connectNats(swarm.connection(source));
  const [nkeySeed = ''] = swarm.broker.gateSeeds;
  const gate = { ...swarm.connection(await swarm.source(MEMBERS.gate)), nkeySeed };
  expect(await cutConnections(gate, new Set([source.svid().thumbprint]))).toBe(0);
  await own.flush();
  expect(own.isClosed()).toBe(false);
  await own.close();
});
