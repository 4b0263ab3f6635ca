import 'reflect-metadata';
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
export const SIGNATURE = x509.KeyUsageFlags.digitalSignature;
export const SIGNER = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** A certificate with its key, written by an independent library. */
export interface Issued extends KeyPair {
  readonly der: Buffer;
  readonly name: string;
}

type Name = { readonly type: 'url' | 'dns' | 'email' | 'ip'; readonly value: string };

/** Every member has an honest default; a vector changes one. */
export interface Wish {
  readonly subject?: string;
  readonly names?: readonly Name[];
  readonly namesCritical?: boolean;
  /** `null` leaves the extension out. */
  readonly ca?: boolean | null;
  readonly pathLength?: number;
  readonly usage?: number | null;
  readonly usageCritical?: boolean;
  readonly extended?: readonly string[] | null;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly serial?: string;
  readonly keys?: KeyPair;
  readonly more?: readonly x509.Extension[];
}

/** The moment at which all vectors are judged. */
export const NOW = new Date('2030-06-15T12:00:00Z');
export const minutes = (count: number) => new Date(NOW.getTime() + count * 60_000);

export function p256(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

export function uri(value: string): Name {
  return { type: 'url', value };
}

export const SERVER_AUTH = x509.ExtendedKeyUsage.serverAuth;
export const CLIENT_AUTH = x509.ExtendedKeyUsage.clientAuth;

/** A self-signed authority of a trust domain, with a P-256 key. */
export function createRoot(trustDomain: string, wish: Wish = {}): Promise<Issued> {
  const keys = wish.keys ?? p256();
  const name = wish.subject ?? `O=${trustDomain}, CN=root`;
  const self = { ...keys, der: Buffer.alloc(0), name };
  return issueCa(self, {
    ...wish,
    keys,
    subject: name,
    names: wish.names ?? [uri(`spiffe://${trustDomain}`)],
  });
}

export function issueCa(signer: Issued, wish: Wish): Promise<Issued> {
  return issue(signer, {
    ca: true,
    usage: SIGNER,
    extended: null,
    notBefore: minutes(-1440),
    notAfter: minutes(1440),
    names: [],
    ...wish,
  });
}

/** A leaf with the given names; by default an honest X.509-SVID without a subject. */
export async function issue(signer: Issued, wish: Wish): Promise<Issued> {
  const keys = wish.keys ?? p256();
  const subject = wish.subject ?? '';
  const names = wish.names ?? [];
  const extensions: x509.Extension[] = [];
  if (wish.ca !== null) {
    extensions.push(new x509.BasicConstraintsExtension(wish.ca ?? false, wish.pathLength, true));
  }
  if (wish.usage !== null) {
    const usage = wish.usage ?? SIGNATURE;
    extensions.push(new x509.KeyUsagesExtension(usage, wish.usageCritical ?? true));
  }
  if (wish.extended !== null) {
    const uses = wish.extended ?? [SERVER_AUTH, CLIENT_AUTH];
    extensions.push(new x509.ExtendedKeyUsageExtension([...uses]));
  }
  if (names.length > 0) {
    const critical = wish.namesCritical ?? subject === '';
    extensions.push(new x509.SubjectAlternativeNameExtension([...names], critical));
  }
  const publicKey = new x509.PublicKey(spki(keys));
  extensions.push(
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
    await x509.AuthorityKeyIdentifierExtension.create(new x509.PublicKey(spki(signer))),
    ...(wish.more ?? []),
  );
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: wish.serial ?? createHash('sha256').update(spki(keys)).digest('hex').slice(0, 30),
    subject,
    issuer: signer.name,
    notBefore: wish.notBefore ?? minutes(-1),
    notAfter: wish.notAfter ?? minutes(60),
    publicKey,
    signingKey: signer.privateKey.toCryptoKey(P256, false, ['sign']),
    signingAlgorithm: P256,
    extensions,
  });
  return { ...keys, der: Buffer.from(certificate.rawData), name: subject };
}

function spki(keys: KeyPair): Buffer {
  return keys.publicKey.export({ format: 'der', type: 'spki' });
}
