import 'reflect-metadata';
import {
  createHash,
  createPrivateKey,
  type KeyObject,
  webcrypto,
  X509Certificate,
} from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { type SpiffeId, spiffeId } from '#identity/spiffe-id.ts';
import type { BundleSet, X509Bundle, X509Source, X509Svid } from '#identity/svid.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** What an attacker's certificate may say; by default an honest X.509-SVID. */
export interface LeafOptions {
  readonly sans?: readonly { readonly type: 'url' | 'dns' | 'email'; readonly value: string }[];
  readonly ca?: boolean;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** IP and DNS names beside the ID, for nats-server. */
  readonly extraSans?: readonly { readonly type: 'dns' | 'ip'; readonly value: string }[];
}

export interface TestCa {
  readonly trustDomain: string;
  readonly bundle: X509Bundle;
  readonly rootPem: string;
  issue(id: string, options?: LeafOptions): Promise<X509Svid>;
}

async function privateKey(keys: webcrypto.CryptoKeyPair): Promise<KeyObject> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
}

/** A trust domain's authority for tests; it signs whatever it is asked, as a thief of its key would. */
export async function createTestCa(trustDomain: string, name = 'Test'): Promise<TestCa> {
  x509.cryptoProvider.set(webcrypto);
  const caKeys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const now = Date.now();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: `O=${name}, CN=${trustDomain}`,
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 86_400_000),
    keys: caKeys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${trustDomain}` }]),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  const authority = new X509Certificate(Buffer.from(root.rawData));

  async function issue(id: string, options: LeafOptions = {}): Promise<X509Svid> {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const notBefore = options.notBefore ?? new Date(Date.now() - 10_000);
    const notAfter = options.notAfter ?? new Date(Date.now() + 3_600_000);
    const ca = options.ca === true;
    const sans = [
      ...(options.sans ?? [{ type: 'url' as const, value: id }]),
      ...(options.extraSans ?? []),
    ];
    const serialNumber = `0${Buffer.from(webcrypto.getRandomValues(new Uint8Array(12)))
      .toString('hex')
      .slice(1)}`;
    const leaf = await x509.X509CertificateGenerator.create({
      serialNumber,
      subject: 'O=Test',
      issuer: root.subject,
      notBefore,
      notAfter,
      publicKey: keys.publicKey,
      signingKey: caKeys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(ca, undefined, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.digitalSignature | (ca ? x509.KeyUsageFlags.keyCertSign : 0),
          true,
        ),
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.serverAuth,
          x509.ExtendedKeyUsage.clientAuth,
        ]),
        new x509.SubjectAlternativeNameExtension(sans),
        await x509.AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    const der = Buffer.from(leaf.rawData);
    return {
      id: spiffeId(id),
      certificates: [der],
      key: await privateKey(keys),
      notBefore: new X509Certificate(der).validFromDate,
      notAfter: new X509Certificate(der).validToDate,
      serial: new X509Certificate(der).serialNumber.toLowerCase(),
      thumbprint: createHash('sha256').update(der).digest('base64url'),
      hint: '',
    };
  }

  return {
    trustDomain,
    bundle: { trustDomain, authorities: [authority] },
    rootPem: root.toString('pem'),
    issue,
  };
}

export function bundleSet(...cas: readonly TestCa[]): BundleSet {
  return new Map(cas.map((ca) => [ca.trustDomain, ca.bundle]));
}

export interface TestSource extends X509Source {
  rotate(svid: X509Svid): void;
  setBundles(bundles: BundleSet): void;
}

/** A source whose pushes the test makes. */
export function testSource(first: X509Svid, initialBundles: BundleSet): TestSource {
  let svid = first;
  let bundles = initialBundles;
  const listeners = new Set<() => void>();
  const push = () => {
    for (const listener of listeners) listener();
  };
  return {
    svid: () => svid,
    bundles: () => bundles,
    onUpdate: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => listeners.clear(),
    rotate: (next) => {
      svid = next;
      push();
    },
    setBundles: (next) => {
      bundles = next;
      push();
    },
  };
}

export function pemOf(der: Uint8Array): string {
  return new X509Certificate(Buffer.from(der)).toString();
}

export function keyPem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}

export type { SpiffeId };
