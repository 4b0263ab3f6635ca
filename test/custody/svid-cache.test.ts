import { beforeAll, describe, expect, it } from 'vitest';
import { createSvidCache } from '#custody/svid-cache.ts';
import type { X509Svid } from '#identity/svid.ts';
import { createTestSwarm, IDS, type TestSwarm } from './support.ts';

const DAY_MS = 86_400_000;
let swarm: TestSwarm;
/** Outlives the authority that signed it, which has a day. */
let long: X509Svid;
let start: number;
beforeAll(async () => {
  swarm = await createTestSwarm();
  start = Date.now();
  long = await swarm.ca.issue(IDS.sensor, { notAfter: new Date(start + 2 * DAY_MS) });
});

const cache = () => {
  let verifications = 0;
  const svids = createSvidCache({
    verify: (chain, at) => {
      verifications += 1;
      return swarm.verify(chain, at);
    },
  });
  const resolve = (svid: X509Svid, ms: number) => {
    const result = svids.resolve(svid.thumbprint, svid.certificates, new Date(start + ms));
    return result.ok ? 'ok' : `${result.code} ${result.detail.split(':')[0]}`;
  };
  return { resolve, verifications: () => verifications };
};

describe('a chain that was verified before', () => {
  it('holds only while its signers do, in whichever order it is asked about', () => {
    const asked: readonly (readonly [ms: number, expected: string])[] = [
      [1000, 'ok'],
      [DAY_MS / 2, 'ok'],
      [1.5 * DAY_MS, 'RECORD_CHAIN_UNVERIFIED SVID_SIGNER_NOT_VALID'],
    ];
    for (const order of [asked, asked.toReversed(), [...asked, ...asked]]) {
      const { resolve } = cache();
      for (const [ms, expected] of order) expect([ms, resolve(long, ms)]).toEqual([ms, expected]);
    }
  });

  it('is verified once for each end of a life that its signers outlive', () => {
    const { resolve, verifications } = cache();
    const svid = swarm.svid('sensor');
    for (let second = 0; second < 50; second++) expect(resolve(svid, second * 1000)).toBe('ok');
    expect(verifications()).toBe(2);
    for (let second = 1; second < 9; second++) expect(resolve(svid, second * -1000)).toBe('ok');
    expect(verifications()).toBe(3);
  });

  it('is judged beyond the life of its leaf by whoever asks, as at its end', () => {
    const { resolve, verifications } = cache();
    const svid = swarm.svid('sensor');
    expect(resolve(svid, 0)).toBe('ok');
    for (const ms of [DAY_MS, 9 * DAY_MS]) expect(resolve(svid, ms)).toBe('ok');
    expect(verifications()).toBe(2);
    // A time that is none proves nothing.
    expect(resolve(svid, Number.NaN)).toMatch(/^RECORD_CHAIN_UNVERIFIED/);
  });
});
