import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { describe, expect, test } from 'vitest';
import { readCertificate } from '#identity/x509/certificate.ts';
import { chainOf, readVectors } from '../support/vectors.ts';

const readable = readVectors().filter(({ expected }) => expected !== 'SVID_MALFORMED');

/** Three readers of one certificate: ours, OpenSSL's in Node, and one in JavaScript. */
describe('our reading agrees with two others', () => {
  test.each(readable)('$name', (vector) => {
    for (const der of chainOf(vector)) {
      const ours = readCertificate(der);
      if (ours === undefined) throw new Error('not read');
      const node = new X509Certificate(der);
      expect(ours.serial).toBe(node.serialNumber.toLowerCase());
      expect(ours.notBefore).toEqual(node.validFromDate);
      expect(ours.notAfter).toEqual(node.validToDate);

      const other = new x509.X509Certificate(new Uint8Array(der));
      const { subjectAltName, basicConstraints, keyUsage, extendedKeyUsage } = ours.extensions;
      const names = other.getExtension(x509.SubjectAlternativeNameExtension);
      const uris = names?.names.items.filter(({ type }) => type === 'url') ?? [];
      expect(subjectAltName?.uris ?? []).toEqual(uris.map(({ value }) => value));
      expect(subjectAltName?.critical).toBe(names?.critical);
      const constraints = other.getExtension(x509.BasicConstraintsExtension);
      expect(basicConstraints?.ca).toBe(constraints?.ca);
      expect(basicConstraints?.pathLength).toBe(constraints?.pathLength);
      const usage = other.getExtension(x509.KeyUsagesExtension);
      expect(keyUsage?.critical).toBe(usage?.critical);
      const flag = (one: x509.KeyUsageFlags) => (usage ? (usage.usages & one) !== 0 : undefined);
      expect(keyUsage?.digitalSignature).toBe(flag(x509.KeyUsageFlags.digitalSignature));
      expect(keyUsage?.keyCertSign).toBe(flag(x509.KeyUsageFlags.keyCertSign));
      expect(keyUsage?.cRLSign).toBe(flag(x509.KeyUsageFlags.cRLSign));
      const uses = other.getExtension(x509.ExtendedKeyUsageExtension);
      expect(extendedKeyUsage).toEqual(uses?.usages);
    }
  });

  // Why the rule reads the extension itself.
  test('Node calls a leaf with cA true and no keyCertSign no authority; ours says what is there', () => {
    const vector = readable.find(({ name }) => name === 'SVID_LEAF_IS_CA.without-key-cert-sign');
    const [der = new Uint8Array()] = vector === undefined ? [] : chainOf(vector);
    expect(new X509Certificate(der).ca).toBe(false);
    expect(readCertificate(der)?.extensions.basicConstraints?.ca).toBe(true);
  });
});
