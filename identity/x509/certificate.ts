import {
  children,
  contextTag,
  type DerNode,
  readDer,
  readInteger,
  readOid,
  readSmallInteger,
  readTime,
  TAG,
} from './der.ts';
import { readExtensions, type X509Extensions } from './extensions.ts';

/** What the SVID rules need from one certificate, read from its bytes and from nothing else. */
export interface Certificate {
  readonly raw: Uint8Array;
  /** Lower-case hex without leading zero octets, positive. */
  readonly serial: string;
  /** DER of the names; compared octet by octet, so no normalisation can make two names equal. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly subjectIsEmpty: boolean;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly signatureAlgorithm: string;
  readonly extensions: X509Extensions;
}

/** RFC 5280 4.1.2.2 asks readers for 20 octets; one more lets a leading zero octet stand. */
const MAX_SERIAL_OCTETS = 21;
const VERSION_3 = 2;

/**
 * Reads one DER certificate (RFC 5280, 4.1). `undefined` when it is not strict DER, not version 3,
 * repeats an extension, or names two signature algorithms. Signatures are not looked at.
 */
export function readCertificate(bytes: Uint8Array): Certificate | undefined {
  const [tbs, algorithm, signature, ...rest] = children(readDer(bytes), TAG.sequence) ?? [];
  if (rest.length > 0 || signature?.tag !== TAG.bitString || signature.value[0] !== 0) {
    return undefined;
  }
  const fields = children(tbs, TAG.sequence);
  if (fields?.length !== 8) return undefined;
  const [version, serialField, innerAlgorithm, issuer, validity, subject, spki, extensionsField] =
    fields;
  const versions = children(version, contextTag(0, true));
  if (versions?.length !== 1 || readSmallInteger(versions[0]) !== VERSION_3) return undefined;

  const serial = readSerial(serialField);
  // RFC 5280 4.1.1.2: both places name the same algorithm, else a signature could be read as another.
  const signatureAlgorithm = readAlgorithm(algorithm);
  if (algorithm === undefined || innerAlgorithm === undefined) return undefined;
  if (!Buffer.from(algorithm.raw).equals(innerAlgorithm.raw)) return undefined;

  const times = children(validity, TAG.sequence);
  const notBefore = readTime(times?.[0]);
  const notAfter = readTime(times?.[1]);
  if (times?.length !== 2 || notBefore === undefined || notAfter === undefined) return undefined;

  if (issuer?.tag !== TAG.sequence || subject?.tag !== TAG.sequence) return undefined;
  if (spki?.tag !== TAG.sequence) return undefined;
  const extensions = readExtensions(extensionsField);
  if (serial === undefined || signatureAlgorithm === undefined || extensions === undefined) {
    return undefined;
  }
  return {
    raw: bytes,
    serial,
    issuer: issuer.raw,
    subject: subject.raw,
    subjectIsEmpty: subject.value.length === 0,
    notBefore,
    notAfter,
    signatureAlgorithm,
    extensions,
  };
}

function readSerial(node: DerNode | undefined): string | undefined {
  const octets = readInteger(node);
  if (octets === undefined || octets.length > MAX_SERIAL_OCTETS) return undefined;
  if ((octets[0] ?? 0x80) >= 0x80) return undefined;
  const hex = Buffer.from(octets[0] === 0 ? octets.subarray(1) : octets).toString('hex');
  return hex === '' ? undefined : hex;
}

function readAlgorithm(node: DerNode | undefined): string | undefined {
  const parts = children(node, TAG.sequence);
  return parts !== undefined && parts.length <= 2 ? readOid(parts[0]) : undefined;
}
