import {
  createECDH,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  X509Certificate,
} from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createAuthority } from '#identity/issuer/authority.ts';
import { issueLeaf } from '#identity/issuer/leaf.ts';
import {
  createKeyMaker,
  parsePublicKey,
  spkiOf,
  writePkcs8,
} from '#identity/issuer/workload-key.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { keyPair, TRUST_DOMAIN } from './harness.ts';

const openKey = (pkcs8: Uint8Array) =>
  createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });

describe('the key pair of a workload', () => {
  test('is what OpenSSL writes of the same key, byte for byte (A-05)', () => {
    const makeKey = createKeyMaker();
    for (let index = 0; index < 1000; index += 1) {
      const { spki, pkcs8 } = makeKey();
      const key = openKey(pkcs8);
      const publicKey = createPublicKey(key);
      expect(key.export({ type: 'pkcs8', format: 'der' }).equals(pkcs8)).toBe(true);
      expect(publicKey.export({ type: 'spki', format: 'der' }).equals(spki)).toBe(true);
      expect(spkiOf(publicKey)).toEqual(spki);
    }
  });

  test.each([1, 15, 30, 31])('a scalar of %i octets is padded to 32', (size) => {
    const curve = createECDH('prime256v1');
    curve.setPrivateKey(Buffer.alloc(size, 0x5a));
    expect(curve.getPrivateKey()).toHaveLength(size);
    const pkcs8 = writePkcs8(curve.getPrivateKey(), curve.getPublicKey());
    const key = openKey(pkcs8);
    expect(key.export({ type: 'pkcs8', format: 'der' }).equals(pkcs8)).toBe(true);
    const { d = '' } = key.export({ format: 'jwk' });
    expect(Buffer.from(d, 'base64url')).toEqual(
      Buffer.concat([Buffer.alloc(32 - size), Buffer.alloc(size, 0x5a)]),
    );
  });

  test('belongs to the certificate that is issued over it, and to no other', async () => {
    const makeKey = createKeyMaker();
    const authority = await createAuthority(TRUST_DOMAIN, new Date(), randomBytes(16));
    const id = spiffeId(`spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-1`);
    const [one, other] = [makeKey(), makeKey()];
    const request = { id, publicKey: one.spki, ttlSeconds: 20 };
    const leaf = issueLeaf(request, authority, new Date(), randomBytes(16));
    if (!leaf.ok) throw new Error(leaf.detail);
    const certificate = new X509Certificate(leaf.value.certificate);
    expect(certificate.checkPrivateKey(openKey(one.pkcs8))).toBe(true);
    expect(certificate.checkPrivateKey(openKey(other.pkcs8))).toBe(false);
  });
});

describe('a public key that a stranger names', () => {
  const honest = keyPair().publicKey;
  const der = honest.export({ type: 'spki', format: 'der' });

  test('is taken in its one form, however it was written', () => {
    expect(parsePublicKey(der)?.spki).toEqual(der);
    // The same point, compressed: 02 or 03 and x, in a shorter SPKI.
    const sign = 2 + ((der.at(-1) ?? 0) & 1);
    const compressed = Buffer.concat([
      Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'),
      Buffer.of(sign),
      der.subarray(27, 59),
    ]);
    expect(parsePublicKey(compressed)?.spki).toEqual(der);
  });

  test('is refused when it is on another curve, off the curve, of another kind, or cut', () => {
    const spki = { type: 'spki', format: 'der' } as const;
    const off = Buffer.from(der);
    off[90] = (off[90] ?? 0) ^ 1;
    for (const bytes of [
      generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export(spki),
      generateKeyPairSync('ed25519').publicKey.export(spki),
      generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export(spki),
      off,
      der.subarray(0, 90),
      Buffer.alloc(0),
    ]) {
      expect(parsePublicKey(bytes)).toBeUndefined();
    }
    expect(parsePublicKey(der)).toBeDefined();
  });
});
