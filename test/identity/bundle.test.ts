import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  bundleFromDer,
  bundleFromPem,
  bundleSet,
  bundleToDer,
  bundleToPem,
  certificatesToPem,
  splitCertificates,
  trustDomainOfKey,
} from '#identity/bundle.ts';
import type { X509Bundle } from '#identity/svid.ts';
import { createRoot, type Issued } from './support/authority.ts';

const DOMAIN = 'city.example';
let roots: readonly Issued[];
let der: Buffer;

beforeAll(async () => {
  roots = [await createRoot(DOMAIN), await createRoot(DOMAIN), await createRoot(DOMAIN)];
  der = Buffer.concat(roots.map((root) => root.der));
});

function held(outcome: ReturnType<typeof bundleFromDer>): X509Bundle {
  if (!outcome.ok) throw new Error(outcome.code);
  return outcome.value;
}

describe('concatenated DER (A-05)', () => {
  test('comes apart and together, in order', () => {
    expect(splitCertificates(der)?.map((one) => Buffer.from(one))).toEqual(roots.map((r) => r.der));
    const bundle = held(bundleFromDer(DOMAIN, der));
    expect(bundle.trustDomain).toBe(DOMAIN);
    expect(Buffer.from(bundleToDer(bundle))).toEqual(der);
  });

  test('no bytes are a bundle without authorities: nothing of it is trusted (B-01)', () => {
    expect(held(bundleFromDer(DOMAIN, new Uint8Array())).authorities).toEqual([]);
  });

  test.each([
    ['one byte missing', () => der.subarray(0, -1)],
    ['one byte more', () => Buffer.concat([der, Buffer.from([0])])],
    [
      'PEM',
      () => Buffer.from(new X509Certificate(der.subarray(0, roots[0]?.der.length)).toString()),
    ],
    ['DER that is no certificate', () => Buffer.from('3000', 'hex')],
    ['one bad among good', () => Buffer.concat([der, Buffer.from('3000', 'hex'), der])],
    ['hundreds of values', () => Buffer.alloc(600, 0x05).fill(0, 1, 2)],
  ])('%s is malformed as a whole', (_what, bytes) => {
    expect(bundleFromDer(DOMAIN, bytes())).toMatchObject({ ok: false, code: 'BUNDLE_MALFORMED' });
  });
});

describe('PEM', () => {
  test('text around the blocks and Windows line ends do not matter', () => {
    const bundle = held(bundleFromDer(DOMAIN, der));
    const pem = `# roots\n${bundleToPem(bundle)}\n`.replaceAll('\n', '\r\n');
    expect(Buffer.from(bundleToDer(held(bundleFromPem(DOMAIN, pem))))).toEqual(der);
    expect(certificatesToPem(roots.map((root) => root.der))).toBe(bundleToPem(bundle));
  });

  test.each(['', 'text', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'])(
    '%j is malformed',
    (pem) => {
      expect(bundleFromPem(DOMAIN, pem)).toMatchObject({ ok: false, code: 'BUNDLE_MALFORMED' });
    },
  );
});

describe('the key of a bundle (A-08)', () => {
  test('is the ID of a trust domain', () => {
    expect(trustDomainOfKey('spiffe://city.example')).toEqual({ ok: true, value: DOMAIN });
    for (const key of ['city.example', 'spiffe://city.example/', 'spiffe://city.example/a', '']) {
      expect(trustDomainOfKey(key)).toMatchObject({ code: 'BUNDLE_TRUST_DOMAIN_INVALID' });
    }
  });

  test('two bundles of one domain are never merged (B-05)', () => {
    const bundle = held(bundleFromDer(DOMAIN, der));
    expect([...bundleSet([bundle]).keys()]).toEqual([DOMAIN]);
    expect(() => bundleSet([bundle, bundle])).toThrow('two bundles');
  });
});
