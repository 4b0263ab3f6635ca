import { describe, expect, test } from 'vitest';
import { createSvidVerifier } from '#identity/x509/remembering-verifier.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';
import { createRoot, issue, issueCa, minutes, NOW, uri } from '../support/authority.ts';
import { bundlesFrom } from '../support/source.ts';
import { bundlesOf, chainOf, readVectors } from '../support/vectors.ts';

const DOMAIN = 'city.example';
const ID = `spiffe://${DOMAIN}/agent/a`;

describe('a remembered answer', () => {
  test('is the same as a fresh one on every vector, twice', () => {
    const verify = createSvidVerifier();
    for (const vector of readVectors()) {
      const ask = [chainOf(vector), bundlesOf(vector), new Date(vector.now)] as const;
      const fresh = verifyX509Svid(...ask);
      for (const answer of [verify(...ask), verify(...ask)]) {
        expect(answer.ok ? answer.value.id : answer.code, vector.name).toBe(
          fresh.ok ? fresh.value.id : fresh.code,
        );
      }
    }
  });

  test('is given for the same octets, not for others', async () => {
    const root = await createRoot(DOMAIN);
    const leaf = await issue(root, { names: [uri(ID)] });
    const verify = createSvidVerifier();
    const bundles = bundlesFrom([[DOMAIN, root]]);
    const first = verify([leaf.der], bundles, NOW);
    const second = verify([new Uint8Array(leaf.der)], bundles, NOW);
    expect(first.ok && second.ok && first.value === second.value).toBe(true);
    expect(verify([leaf.der, root.der.subarray(1)], bundles, NOW)).toMatchObject({
      code: 'SVID_MALFORMED',
    });
    expect(verify([leaf.der.subarray(0, 100), leaf.der.subarray(100)], bundles, NOW).ok).toBe(
      false,
    );
  });

  test('ends with the bundle, the leaf, or an intermediate', async () => {
    const root = await createRoot(DOMAIN);
    const middle = await issueCa(root, { subject: 'CN=m', notAfter: minutes(10) });
    const leaf = await issue(middle, { names: [uri(ID)], notAfter: minutes(60) });
    const brief = await issue(root, { names: [uri(ID)], notAfter: minutes(5) });
    const bundles = bundlesFrom([[DOMAIN, root]]);
    const verify = createSvidVerifier();
    const chain = [leaf.der, middle.der];
    expect(verify(chain, bundles, NOW).ok).toBe(true);
    expect(verify(chain, bundles, minutes(10)).ok).toBe(true);
    expect(verify(chain, bundles, minutes(11))).toMatchObject({ code: 'SVID_SIGNER_NOT_VALID' });
    expect(verify([brief.der], bundles, NOW).ok).toBe(true);
    expect(verify([brief.der], bundles, minutes(6))).toMatchObject({ code: 'SVID_EXPIRED' });
    expect(verify([brief.der], bundles, minutes(-5))).toMatchObject({ code: 'SVID_NOT_YET_VALID' });
    const revoked = bundlesFrom([[DOMAIN, await createRoot(DOMAIN)]]);
    expect(verify(chain, bundles, NOW).ok).toBe(true);
    expect(verify(chain, revoked, NOW).ok).toBe(false);
    expect(verify(chain, new Map(), NOW)).toMatchObject({ code: 'SVID_TRUST_DOMAIN_UNKNOWN' });
  });

  test('the number of remembered chains is bounded', async () => {
    const root = await createRoot(DOMAIN);
    const bundles = bundlesFrom([[DOMAIN, root]]);
    const one = await issue(root, { names: [uri(ID)] });
    const two = await issue(root, { names: [uri(ID)] });
    const verify = createSvidVerifier(1);
    const first = verify([one.der], bundles, NOW);
    verify([two.der], bundles, NOW);
    const again = verify([one.der], bundles, NOW);
    expect(first.ok && again.ok && first.value !== again.value).toBe(true);
  });
});
