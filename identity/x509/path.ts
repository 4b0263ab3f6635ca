import { X509Certificate } from 'node:crypto';
import type { SvidCode } from '../codes.ts';
import { type Refused, refuse } from '../outcome.ts';
import { parseSpiffeId, pathOf } from '../spiffe-id.ts';
import type { X509Bundle } from '../svid.ts';
import { type Certificate, readCertificate } from './certificate.ts';
import { checkUnderstood } from './leaf.ts';

/**
 * Signatures that a chain may carry. RSASSA-PSS is left out: its parameters default to SHA-1.
 */
const SIGNATURE_ALGORITHMS: ReadonlySet<string> = new Set([
  '1.2.840.10045.4.3.2', // ECDSA, SHA-256
  '1.2.840.10045.4.3.3', // ECDSA, SHA-384
  '1.2.840.10045.4.3.4', // ECDSA, SHA-512
  '1.2.840.113549.1.1.11', // RSA PKCS#1 v1.5, SHA-256
  '1.2.840.113549.1.1.12', // RSA PKCS#1 v1.5, SHA-384
  '1.2.840.113549.1.1.13', // RSA PKCS#1 v1.5, SHA-512
  '1.3.101.112', // Ed25519
]);
const CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);
const MIN_RSA_BITS = 2048;

/** A certificate in both readings: ours, which decides, and the library's, which has the key. */
export interface Link {
  readonly certificate: Certificate;
  readonly library: X509Certificate;
}

/**
 * `undefined` when either reading fails, so that no certificate has only one. `known` is the
 * library's reading of the same bytes, where there is one already.
 */
export function readLink(bytes: Uint8Array, known?: X509Certificate): Link | undefined {
  const certificate = readCertificate(bytes);
  if (certificate === undefined) return undefined;
  try {
    const library = known ?? new X509Certificate(bytes);
    // Decodes the key now: it is lazy, and throws on a curve or encoding that is not known.
    return library.publicKey.type === 'public' ? { certificate, library } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Path validation (RFC 5280, section 6) from `chain[0]` to an authority of `bundle`, in the order
 * given. Certificates after the one that an authority signed are not needed and not believed.
 * Returns what is wrong, or `undefined`.
 */
export function checkPath(
  chain: readonly Link[],
  bundle: X509Bundle,
  now: Date,
): Refused<SvidCode> | undefined {
  const authorities = bundle.authorities.map((one) => readLink(new Uint8Array(one.raw), one));
  let below = 0;
  for (const [index, subject] of chain.entries()) {
    const weak = checkStrength(subject);
    if (weak !== undefined) return weak;
    let failure: Refused<SvidCode> | undefined;
    for (const authority of authorities) {
      if (authority === undefined || !isNamedSigner(authority, subject)) continue;
      const refused = checkSigner(authority, subject, below, now);
      if (refused === undefined) return undefined;
      // A wrong key under the right name says less than any other reason.
      if (failure === undefined || failure.code === 'SVID_SIGNATURE_INVALID') failure = refused;
    }
    const next = chain[index + 1];
    if (next === undefined || !isNamedSigner(next, subject)) {
      return (
        failure ?? refuse('SVID_SIGNER_UNKNOWN', 'no authority of the trust domain signed this')
      );
    }
    const refused = checkSigner(next, subject, below, now) ?? checkSignerId(next);
    if (refused !== undefined) return refused;
    if (!isNamedSigner(next, next)) below += 1;
  }
  return refuse('SVID_SIGNER_UNKNOWN', 'the chain ends before an authority');
}

function isNamedSigner(signer: Link, subject: Link): boolean {
  return Buffer.from(signer.certificate.subject).equals(subject.certificate.issuer);
}

function checkStrength({ certificate, library }: Link): Refused<SvidCode> | undefined {
  if (!SIGNATURE_ALGORITHMS.has(certificate.signatureAlgorithm)) {
    return refuse('SVID_ALGORITHM_WEAK', `signature algorithm ${certificate.signatureAlgorithm}`);
  }
  const key = library.publicKey;
  const details = key.asymmetricKeyDetails;
  const strong =
    key.asymmetricKeyType === 'ed25519' ||
    (key.asymmetricKeyType === 'ec' && CURVES.has(details?.namedCurve ?? '')) ||
    (key.asymmetricKeyType === 'rsa' && (details?.modulusLength ?? 0) >= MIN_RSA_BITS);
  return strong ? undefined : refuse('SVID_ALGORITHM_WEAK', `a ${key.asymmetricKeyType} key`);
}

/** `below`: authorities between this signer and the leaf that the path length counts. */
function checkSigner(
  signer: Link,
  subject: Link,
  below: number,
  now: Date,
): Refused<SvidCode> | undefined {
  const weak = checkStrength(signer);
  if (weak !== undefined) return weak;
  if (!isSignedBy(subject, signer)) {
    return refuse('SVID_SIGNATURE_INVALID', 'the named signer did not make this signature');
  }
  const { extensions, notBefore, notAfter } = signer.certificate;
  const { basicConstraints, keyUsage } = extensions;
  if (basicConstraints?.ca !== true) return refuse('SVID_SIGNER_NOT_CA', 'a signer has no cA true');
  const common = checkUnderstood(signer.certificate);
  if (common !== undefined) return common;
  if (keyUsage?.keyCertSign !== true) {
    return refuse('SVID_SIGNER_NOT_CA', 'a signer has no keyCertSign');
  }
  if (!(now >= notBefore && now <= notAfter)) {
    return refuse('SVID_SIGNER_NOT_VALID', 'a signer is outside its validity');
  }
  if (basicConstraints.pathLength !== undefined && below > basicConstraints.pathLength) {
    return refuse('SVID_PATH_LENGTH', `a signer allows ${basicConstraints.pathLength} below it`);
  }
  return undefined;
}

function isSignedBy(subject: Link, signer: Link): boolean {
  try {
    return subject.library.verify(signer.library.publicKey);
  } catch {
    return false;
  }
}

/** X509-SVID 3.2: a signing certificate that is itself an SVID has an ID without a path. */
function checkSignerId({ certificate }: Link): Refused<SvidCode> | undefined {
  for (const uri of certificate.extensions.subjectAltName?.uris ?? []) {
    const id = parseSpiffeId(uri);
    if (id.ok && pathOf(id.value) !== '') {
      return refuse('SVID_SIGNER_ID', 'an intermediate authority has the ID of a workload');
    }
  }
  return undefined;
}
