import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLink } from '#bus/client/link.ts';
import { MEMBERS, startSwarm, type TestSwarm } from '#test/support/swarm.ts';
import { createTestCa, type LeafOptions, type TestCa } from '#test/support/test-ca.ts';

let swarm: TestSwarm;
let partner: TestCa;

beforeAll(async () => {
  partner = await createTestCa('partner.example');
  swarm = await startSwarm({ federated: [partner] });
});
afterAll(() => swarm?.stop());

async function tryConnect(leaf: LeafOptions, ca?: TestCa, member = MEMBERS.camera) {
  const before = swarm.decisions.length;
  const source = await swarm.source(member, leaf, ca);
  try {
    const link = await openLink({ ...swarm.connection(source), firstConnectMs: 0 });
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
});
