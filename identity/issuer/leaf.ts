import { hash, type KeyObject, sign } from 'node:crypto';
import { isIP, isIPv6 } from 'node:net';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { pathOf, type SpiffeId, trustDomainOf } from '../spiffe-id.ts';
import type { IssuerCode } from './codes.ts';
import {
  der,
  extension,
  extensionHead,
  positiveInteger,
  sequence,
  TAG,
  time,
} from './der-writer.ts';
import { isDnsName } from './entry.ts';
import type { P256Spki } from './workload-key.ts';

/** What a leaf needs of its signing authority. */
export interface LeafSigner {
  readonly trustDomain: string;
  readonly key: KeyObject;
  /** DER of the authority's subject, taken over byte for byte as the leaf's issuer. */
  readonly subject: Uint8Array;
  /** The extension by which its leaves name its key; see `authorityKeyId`. */
  readonly authorityKeyId: Uint8Array;
  readonly notAfter: Date;
}

export interface LeafRequest {
  readonly id: SpiffeId;
  readonly publicKey: P256Spki;
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
const HEAD = {
  subjectKeyId: extensionHead('2.5.29.14', false),
  keyUsage: extensionHead('2.5.29.15', true),
  subjectAltName: extensionHead('2.5.29.17', true),
  basicConstraints: extensionHead('2.5.29.19', true),
  authorityKeyId: extensionHead('2.5.29.35', false),
  extKeyUsage: extensionHead('2.5.29.37', false),
} as const;
const GENERAL_NAME = { dns: 0x82, uri: 0x86, ip: 0x87 } as const;

// What is the same in every leaf. in this order.
const VERSION_3 = Buffer.from('a003020102', 'hex');
const EMPTY_NAME = Buffer.from('3000', 'hex');
const ALGORITHM = sequence(Buffer.from('06082a8648ce3d040302', 'hex'));
const USAGES = Buffer.concat([
  extension(HEAD.basicConstraints, sequence()),
  extension(HEAD.keyUsage, Buffer.from('03020780', 'hex')),
  extension(HEAD.extKeyUsage, Buffer.from('301406082b0601050507030106082b06010505070302', 'hex')),
]);
/** A subject key identifier up to its 20 octets. */
const SUBJECT_KEY_ID_SIZE = 20;
const SUBJECT_KEY_ID_PREFIX = extension(
  HEAD.subjectKeyId,
  der(TAG.octetString, Buffer.alloc(SUBJECT_KEY_ID_SIZE)),
).subarray(0, -SUBJECT_KEY_ID_SIZE);
const NO_UNUSED_BITS = Buffer.of(0);

/** RFC 5280, 4.2.1.2, method 1: SHA-1 of the bit string; an identifier, not a protection. */
export function subjectKeyId(spki: Uint8Array): Buffer {
  // A P-256 SPKI is 91 octets and ends with the uncompressed point of 65.
  return hash('sha1', spki.subarray(-65), 'buffer');
}

/** The extension of every leaf of an authority. @param keyId its subject key identifier */
export function authorityKeyId(keyId: Uint8Array): Buffer {
  return extension(HEAD.authorityKeyId, sequence(der(0x80, keyId)));
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

/** Why a leaf for these names is not issued by this signer. */
function objection(request: LeafRequest, signer: LeafSigner): string | undefined {
  const { id } = request;
  if (trustDomainOf(id) !== signer.trustDomain) return `${id} is not in ${signer.trustDomain}`;
  if (pathOf(id) === '') return `${id} has no path`;
  if (!(request.dns ?? []).every(isDnsName)) return 'a DNS name is not well-formed';
  // IPv4 inside IPv6 and zones have forms of their own; nothing here needs them.
  const plain = (ip: string) => isIP(ip) === 4 || (isIP(ip) === 6 && /^[0-9a-f:]+$/i.test(ip));
  if (!(request.ip ?? []).every(plain)) return 'an IP address is not well-formed';
  return undefined;
}

/** What differs between two leaves for the same names under the same authority, beside the key. */
export interface LeafLife {
  readonly issuedAt: Date;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** 16 octets. */
  readonly serial: Buffer;
}

/** @param serial at least 16 random octets */
export function leafLife(
  { ttlSeconds }: Pick<LeafRequest, 'ttlSeconds'>,
  signer: LeafSigner,
  now: Date,
  serial: Uint8Array,
): Outcome<LeafLife, IssuerCode> {
  if (!(ttlSeconds > 0)) return refuse('LEAF_INVALID', 'the lifetime is not positive');
  // X.509 knows whole seconds; round before, so that what is logged is what is in the certificate.
  const seconds = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000);
  const notBefore = seconds(now.getTime() - BACKDATE_MS);
  const end = Math.min(now.getTime() + ttlSeconds * 1000, signer.notAfter.getTime());
  const notAfter = seconds(end);
  if (notAfter <= now) return refuse('AUTHORITY_EXPIRED', 'the signing authority has expired');
  // positive, at most 20 octets; the set second bit makes the length constant.
  const number = Buffer.from(serial.subarray(0, 16));
  number[0] = ((number[0] ?? 0) & 0x7f) | 0x40;
  return accept({ issuedAt: now, notBefore, notAfter, serial: number });
}

/** The part that is signed, and where in it stands what differs from leaf to leaf. */
export interface LeafBody {
  readonly bytes: Buffer;
  readonly at: {
    readonly serial: number;
    readonly notBefore: number;
    readonly notAfter: number;
    readonly publicKey: number;
    readonly subjectKeyId: number;
  };
}

/**
 * The body of an X.509-SVID leaf (X509-SVID 2 to 4): one URI SAN, critical because the subject is empty;
 * `digitalSignature` alone; lifetime capped by the authority's.
 */
export function leafBody(
  request: LeafRequest,
  signer: LeafSigner,
  { serial, notBefore, notAfter }: LeafLife,
): Outcome<LeafBody, IssuerCode> {
  const wrong = objection(request, signer);
  if (wrong !== undefined) return refuse('LEAF_INVALID', wrong);
  const names = extension(HEAD.subjectAltName, alternativeNames(request));
  const extensions = der(
    0xa3,
    sequence(
      USAGES,
      SUBJECT_KEY_ID_PREFIX,
      subjectKeyId(request.publicKey),
      signer.authorityKeyId,
      names,
    ),
  );
  const number = positiveInteger(serial);
  const [begin, end] = [time(notBefore), time(notAfter)];
  const validity = sequence(begin, end);
  const key = request.publicKey;
  const parts = [
    VERSION_3,
    number,
    ALGORITHM,
    signer.subject,
    validity,
    EMPTY_NAME,
    key,
    extensions,
  ];
  const bytes = sequence(...parts);
  const keyEnd = bytes.length - extensions.length;
  const validityEnd = keyEnd - key.length - EMPTY_NAME.length;
  return accept({
    bytes,
    at: {
      serial:
        validityEnd - validity.length - signer.subject.length - ALGORITHM.length - serial.length,
      notBefore: validityEnd - end.length - begin.length,
      notAfter: validityEnd - end.length,
      publicKey: keyEnd - key.length,
      subjectKeyId:
        bytes.length - names.length - signer.authorityKeyId.length - SUBJECT_KEY_ID_SIZE,
    },
  });
}

/** Signs a body. */
export function signLeaf(
  body: Uint8Array,
  id: SpiffeId,
  signer: LeafSigner,
  { serial, ...times }: LeafLife,
): Leaf {
  const signature = sign('sha256', body, signer.key);
  const certificate = sequence(body, ALGORITHM, der(TAG.bitString, NO_UNUSED_BITS, signature));
  const thumbprint = hash('sha256', certificate, 'base64url');
  return { certificate, id, serial: serial.toString('hex'), thumbprint, ...times };
}

/** @param serial at least 16 random octets */
export function issueLeaf(
  request: LeafRequest,
  signer: LeafSigner,
  now: Date,
  serial: Uint8Array,
): Outcome<Leaf, IssuerCode> {
  const life = leafLife(request, signer, now, serial);
  if (!life.ok) return life;
  const body = leafBody(request, signer, life.value);
  if (!body.ok) return body;
  return accept(signLeaf(body.value.bytes, request.id, signer, life.value));
}
