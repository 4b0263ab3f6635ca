import type { KeyObject } from 'node:crypto';
import { signP256, verifyEcdsa } from '../ecdsa.ts';

/** Where a process' executable lies; numbers as decimal strings, inodes exceed 2^53. */
export interface ExecutableIdentity {
  readonly path: string;
  readonly dev: string;
  readonly ino: string;
}

/** What the launcher read and started. `signature` and `keyId` are empty for an unsigned image. */
export interface ImageReference {
  readonly name: string;
  /** `sha256:` and 64 lower-case hex digits, over the canonical manifest bytes. */
  readonly digest: string;
  /** ECDSA P-256 (SHA-256, IEEE P1363) over `imageSigningInput`, base64. */
  readonly signature: string;
  /** Names the CI key; becomes the `swarm:image-signature-subject:` selector. */
  readonly keyId: string;
}

/** The launcher's statement about one process that it spawned itself. */
export interface AttestationClaims {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. With the PID it names one process. */
  readonly startTime: number;
  readonly exe: ExecutableIdentity;
  /** The uid that the launcher gave the process; checked when present. */
  readonly uid?: number | undefined;
  readonly image: ImageReference;
  readonly workload: {
    readonly spiffeId: string;
    readonly agentType: string;
    readonly instance: string;
  };
}

export interface Attestation extends AttestationClaims {
  /** ECDSA P-256 (SHA-256, IEEE P1363) over `attestationSigningInput`, base64. */
  readonly launcherSignature: string;
}

// Each input starts with its own name and a zero octet, so that a signature made for one purpose
// is never valid for another. JSON arrays of strings and numbers are injective.
const IMAGE_DOMAIN = 'swarmproof/image-signature/v1\0';
const ATTESTATION_DOMAIN = 'swarmproof/launcher-attestation/v1\0';

/** The exact bytes that CI signs for an image. */
export function imageSigningInput(name: string, digest: string): Uint8Array {
  return Buffer.from(IMAGE_DOMAIN + JSON.stringify([name, digest]), 'utf8');
}

/** The exact bytes that the launcher signs for a process. */
export function attestationSigningInput(claims: AttestationClaims): Uint8Array {
  const { exe, image, workload } = claims;
  const fields = [
    claims.pid,
    claims.startTime,
    exe.path,
    exe.dev,
    exe.ino,
    claims.uid ?? -1,
    image.name,
    image.digest,
    image.signature,
    image.keyId,
    workload.spiffeId,
    workload.agentType,
    workload.instance,
  ];
  return Buffer.from(ATTESTATION_DOMAIN + JSON.stringify(fields), 'utf8');
}

function signP1363(input: Uint8Array, key: KeyObject): string {
  return signP256(input, key).toString('base64');
}

function verifyP1363(input: Uint8Array, signature: string, key: KeyObject): boolean {
  const bytes = Buffer.from(signature, 'base64');
  // A P-256 key and nothing else: node:crypto would take an RSA key for `sha256` just as well.
  if (bytes.length !== 64 || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return false;
  return verifyEcdsa('sha256', input, key, bytes);
}

/** CI's signature over an image, base64. @param key P-256 private key */
export function signImage(name: string, digest: string, key: KeyObject): string {
  return signP1363(imageSigningInput(name, digest), key);
}

export function verifyImageSignature(image: ImageReference, key: KeyObject): boolean {
  return verifyP1363(imageSigningInput(image.name, image.digest), image.signature, key);
}

/** The claims with the launcher's signature. @param key the launcher's P-256 private key */
export function signAttestation(claims: AttestationClaims, key: KeyObject): Attestation {
  return { ...claims, launcherSignature: signP1363(attestationSigningInput(claims), key) };
}

export function verifyAttestation(attestation: Attestation, key: KeyObject): boolean {
  return verifyP1363(attestationSigningInput(attestation), attestation.launcherSignature, key);
}
