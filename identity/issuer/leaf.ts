import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { isIP, isIPv6 } from 'node:net';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { pathOf, type SpiffeId, trustDomainOf } from '../spiffe-id.ts';
import type { IssuerCode } from './codes.ts';
import { der, extension, positiveInteger, sequence, TAG, time } from './der-writer.ts';
import { isDnsName } from './entry.ts';

/** What a leaf needs of its signing authority. */
export interface LeafSigner {
  readonly trustDomain: string;
  readonly key: KeyObject;
  /** DER of the authority's subject, taken over byte for byte as the leaf's issuer. */
  readonly subject: Uint8Array;
  readonly subjectKeyId: Uint8Array;
  readonly notAfter: Date;
}

export interface LeafRequest {
  readonly id: SpiffeId;
  readonly publicKey: KeyObject;
  readonly ttlSeconds: number;
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
}

export interface Leaf {
  readonly certificate: Uint8Array;
  readonly id: SpiffeId;
  /** Lower-case hex, 32 digits. */
  readonly serial: string;
  /** base64url(SHA-256(certificate)). */
  readonly thumbprint: string;
  /** Renewal counts from here; `notBefore` lies 10 s earlier for clocks that are behind. */
  readonly issuedAt: Date;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

const BACKDATE_MS = 10_000;
const OID = {
  ecdsaSha256: '1.2.840.10045.4.3.2',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
} as const;
const GENERAL_NAME = { dns: 0x82, uri: 0x86, ip: 0x87 } as const;

// What is the same in every leaf. in this order.
const VERSION_3 = Buffer.from('a003020102', 'hex');
const EMPTY_NAME = Buffer.from('3000', 'hex');
const ALGORITHM = sequence(Buffer.from('06082a8648ce3d040302', 'hex'));
// id-ecPublicKey, prime256v1, and the mark of an uncompressed point.
const SPKI_PREFIX = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');
const BASIC_CONSTRAINTS = extension(OID.basicConstraints, true, sequence());
const KEY_USAGE = extension(OID.keyUsage, true, Buffer.from('03020780', 'hex'));
const EXT_KEY_USAGE = extension(
  OID.extKeyUsage,
  false,
  Buffer.from('301406082b0601050507030106082b06010505070302', 'hex'),
);

/** RFC 5280, 4.2.1.2, method 1: SHA-1 of the bit string; an identifier, not a protection. */
export function subjectKeyId(spki: Uint8Array): Buffer {
  // A P-256 SPKI is 91 octets and ends with the uncompressed point of 65.
  return createHash('sha1').update(spki.subarray(-65)).digest();
}

/** A third of the time that OpenSSL's own encoder takes, which is most of what a leaf costs. */
function spkiOf(publicKey: KeyObject): Buffer {
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  // RFC 7518, 6.2.1.2: coordinates have their full 32 octets.
  return Buffer.concat([SPKI_PREFIX, Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
}

function ipBytes(text: string): Buffer {
  if (!isIPv6(text)) return Buffer.from(text.split('.').map(Number));
  const [head = '', tail] = text.split('::');
  const words = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16));
  const before = words(head);
  const after = words(tail ?? '');
  const gap = new Array<number>(8 - before.length - after.length).fill(0);
  return Buffer.from([...before, ...gap, ...after].flatMap((word) => [word >> 8, word & 0xff]));
}

function alternativeNames(request: LeafRequest): Buffer {
  return sequence(
    der(GENERAL_NAME.uri, Buffer.from(request.id, 'latin1')),
    ...(request.dns ?? []).map((name) => der(GENERAL_NAME.dns, Buffer.from(name, 'latin1'))),
    ...(request.ip ?? []).map((address) => der(GENERAL_NAME.ip, ipBytes(address))),
  );
}

function objection(request: LeafRequest, signer: LeafSigner): string | undefined {
  const { id, publicKey } = request;
  if (trustDomainOf(id) !== signer.trustDomain) return `${id} is not in ${signer.trustDomain}`;
  if (pathOf(id) === '') return `${id} has no path`;
  if (publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return 'not a P-256 key';
  if (!(request.ttlSeconds > 0)) return 'the lifetime is not positive';
  if (!(request.dns ?? []).every(isDnsName)) return 'a DNS name is not well-formed';
  // IPv4 inside IPv6 and zones have forms of their own; nothing here needs them.
  const plain = (ip: string) => isIP(ip) === 4 || (isIP(ip) === 6 && /^[0-9a-f:]+$/i.test(ip));
  if (!(request.ip ?? []).every(plain)) return 'an IP address is not well-formed';
  return undefined;
}

/**
 * An X.509-SVID leaf (X509-SVID 2 to 4): one URI SAN, critical because the subject is empty;
 * `digitalSignature` alone; lifetime capped by the authority's.
 * @param serial at least 16 random octets
 */
export function issueLeaf(
  request: LeafRequest,
  signer: LeafSigner,
  now: Date,
  serial: Uint8Array,
): Outcome<Leaf, IssuerCode> {
  const wrong = objection(request, signer);
  if (wrong !== undefined) return refuse('LEAF_INVALID', wrong);
  // X.509 knows whole seconds; round before, so that what is logged is what is in the certificate.
  const seconds = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000);
  const notBefore = seconds(now.getTime() - BACKDATE_MS);
  const end = Math.min(now.getTime() + request.ttlSeconds * 1000, signer.notAfter.getTime());
  const notAfter = seconds(end);
  if (notAfter <= now) return refuse('AUTHORITY_EXPIRED', 'the signing authority has expired');

  // positive, at most 20 octets; the set second bit makes the length constant.
  const number = Buffer.from(serial.subarray(0, 16));
  number[0] = ((number[0] ?? 0) & 0x7f) | 0x40;
  const spki = spkiOf(request.publicKey);
  const extensions = sequence(
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    EXT_KEY_USAGE,
    extension(OID.subjectKeyId, false, der(TAG.octetString, subjectKeyId(spki))),
    extension(OID.authorityKeyId, false, sequence(der(0x80, signer.subjectKeyId))),
    extension(OID.subjectAltName, true, alternativeNames(request)),
  );
  const body = sequence(
    VERSION_3,
    positiveInteger(number),
    ALGORITHM,
    signer.subject,
    sequence(time(notBefore), time(notAfter)),
    EMPTY_NAME,
    spki,
    der(0xa3, extensions),
  );
  const signature = sign('sha256', body, signer.key);
  const certificate = sequence(body, ALGORITHM, der(TAG.bitString, Buffer.from([0]), signature));
  return accept({
    certificate,
    id: request.id,
    serial: number.toString('hex'),
    thumbprint: createHash('sha256').update(certificate).digest('base64url'),
    issuedAt: now,
    notBefore,
    notAfter,
  });
}

/** @returns `undefined` when the bytes are not the SPKI of a P-256 key */
export function parsePublicKey(spki: Uint8Array): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    return key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? key : undefined;
  } catch {
    return undefined;
  }
}
