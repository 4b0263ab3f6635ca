import 'reflect-metadata';
import { createPrivateKey, KeyObject, webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { LeafSigner } from './leaf.ts';
import { authorityKeyId, subjectKeyId } from './leaf.ts';

/** A signing authority of the trust domain; `id` is its subject key identifier in hex, as SPIRE's. */
export interface Authority extends LeafSigner {
  readonly id: string;
  readonly certificate: Uint8Array;
  readonly notBefore: Date;
}

/** SPIRE's `ca_ttl`. */
export const AUTHORITY_TTL_SECONDS = 24 * 3600;
const BACKDATE_MS = 10_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/**
 * A self-signed P-256 root. Its ID is the trust domain's, without a path (X-03, I-08); it signs
 * certificates and nothing else.
 * @param serial 16 random octets
 */
export async function createAuthority(
  trustDomain: string,
  now: Date,
  serial: Uint8Array,
  ttlSeconds: number = AUTHORITY_TTL_SECONDS,
): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const spki = new Uint8Array(await webcrypto.subtle.exportKey('spki', keys.publicKey));
  const number = Buffer.from(serial.subarray(0, 16));
  number[0] = ((number[0] ?? 0) & 0x7f) | 0x40;
  const hex = number.toString('hex');
  const certificate = await X509CertificateGenerator.createSelfSigned({
    keys,
    signingAlgorithm: ALGORITHM,
    serialNumber: hex,
    // The serial in the name tells authorities of one trust domain apart in chain building.
    name: [{ O: ['Swarmproof'] }, { CN: [trustDomain] }, { '2.5.4.5': [hex] }],
    notBefore: new Date(now.getTime() - BACKDATE_MS),
    notAfter: new Date(now.getTime() + ttlSeconds * 1000),
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      new SubjectKeyIdentifierExtension(subjectKeyId(spki).toString('hex')),
      new SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${trustDomain}` }]),
    ],
  });
  return loadAuthority(
    trustDomain,
    new Uint8Array(certificate.rawData),
    KeyObject.from(keys.privateKey),
  );
}

/** @param key its private key, as a key object or PKCS#8 DER */
export function loadAuthority(
  trustDomain: string,
  certificate: Uint8Array,
  key: KeyObject | Uint8Array,
): Authority {
  const parsed = new X509Certificate(new Uint8Array(certificate));
  const keyId = subjectKeyId(new Uint8Array(parsed.publicKey.rawData));
  return {
    id: keyId.toString('hex'),
    trustDomain,
    certificate,
    key:
      key instanceof Uint8Array
        ? createPrivateKey({ key: Buffer.from(key), format: 'der', type: 'pkcs8' })
        : key,
    subject: new Uint8Array(parsed.subjectName.toArrayBuffer()),
    authorityKeyId: authorityKeyId(keyId),
    notBefore: parsed.notBefore,
    notAfter: parsed.notAfter,
  };
}
