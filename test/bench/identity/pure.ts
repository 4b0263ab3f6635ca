import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { createAuthority } from '#identity/issuer/authority.ts';
import { createLeafIssuer } from '#identity/issuer/leaf-issuer.ts';
import { pooledRandom } from '#identity/issuer/random-pool.ts';
import { createKeyMaker } from '#identity/issuer/workload-key.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';
import type { Measure } from '../bus.ts';

const ROUNDS = 150;
const WARM_UP = 30;
const CALLS = 100;

/**
 * Processor time of one call of each, in microseconds. They take turns, so that whatever else the
 * machine does falls on all alike, and their ratio holds on a busy one.
 */
function costs<Name extends string>(works: Readonly<Record<Name, () => unknown>>) {
  const spent = new Map<string, number>();
  for (let round = -WARM_UP; round < ROUNDS; round += 1) {
    for (const [name, work] of Object.entries<() => unknown>(works)) {
      const before = process.cpuUsage();
      for (let call = 0; call < CALLS; call += 1) work();
      const { user, system } = process.cpuUsage(before);
      if (round >= 0) spent.set(name, (spent.get(name) ?? 0) + user + system);
    }
  }
  return (name: Name): number => (spent.get(name) ?? Number.NaN) / (ROUNDS * CALLS);
}

/** One core, nothing but the function: key pair, certificate, PKCS#8; and what OpenSSL takes of it. */
export async function pure(): Promise<Measure[]> {
  const authority = await createAuthority(TRUST_DOMAIN, new Date(), randomBytes(16));
  const id = spiffeId(`spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-1`);
  const makeKey = createKeyMaker();
  const issueLeaf = createLeafIssuer();
  const random = pooledRandom(randomBytes);
  const given = makeKey().spki;
  const bytes = randomBytes(400);
  const issue = (publicKey: typeof given) =>
    issueLeaf({ id, publicKey, ttlSeconds: 20 }, authority, new Date(), random(16));
  const cost = costs({
    whole: () => issue(makeKey().spki),
    leaf: () => issue(given),
    bare: () => {
      generateKeyPairSync('ec', { namedCurve: 'P-256' });
      sign('sha256', bytes, authority.key);
    },
  });
  const rate = (name: 'whole' | 'leaf' | 'bare'): number => 1_000_000 / cost(name);
  return [
    { name: 'X.509-SVIDs on one core: key, certificate, PKCS#8', value: rate('whole'), unit: '/s' },
    { name: 'certificates on one core, over a given key', value: rate('leaf'), unit: '/s' },
    { name: 'OpenSSL alone by Node: make a key, sign once', value: rate('bare'), unit: '/s' },
    {
      name: 'of the time of an X.509-SVID, spent in those two calls',
      value: (cost('bare') * 100) / cost('whole'),
      unit: '%',
    },
  ];
}
