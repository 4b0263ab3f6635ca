import type { KeyObject } from 'node:crypto';
import { signP256, verifyEcdsa } from '../ecdsa.ts';
import { isJsonArray, isJsonObject, type JsonValue } from '../json.ts';

/**
 * How an agent on another machine speaks with the issuer: JSON over HTTPS (TLS 1.3). `attest` with a
 * join token; the others over mTLS with the agent SVID that it got for it.
 */
export const NODE_PATHS = {
  attest: '/v1/attest',
  renew: '/v1/renew',
  entries: '/v1/entries',
  /** Answered when there is something that the node does not know, or after `WATCH_SECONDS`. */
  watch: '/v1/watch',
  svids: '/v1/svids',
  tokens: '/v1/tokens',
} as const;
export type NodePath = (typeof NODE_PATHS)[keyof typeof NODE_PATHS];

export const MAX_NODE_REQUEST_BYTES = 65_536;
/** Bound for one request; a node with more entries asks again. */
export const MAX_SVIDS_PER_REQUEST = 100;
/** As long as the caller of a Workload API may spell them. */
const MAX_AUDIENCE = 2048;
/** How long a question for news may stay without an answer. */
export const WATCH_SECONDS = 25;

/** SPIRE's ID of a server. */
export function serverId(trustDomain: string): string {
  return `spiffe://${trustDomain}/spire/server`;
}

/** Label and length of the TLS exporter (RFC 8446 7.5) that ties a proof to its connection. */
export const EXPORTER = { length: 32, label: 'EXPORTER-swarmproof-node-key' } as const;
const PROOF_DOMAIN = 'swarmproof/node-key/v1\0';

function proofInput(exported: Uint8Array, spki: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(PROOF_DOMAIN), exported, spki]);
}

/**
 * Proof that the caller holds the private half of the key that it names, made for this connection
 * alone: ECDSA P-256 (SHA-256, IEEE P1363), base64.
 */
export function proveKey(exported: Uint8Array, spki: Uint8Array, key: KeyObject): string {
  return signP256(proofInput(exported, spki), key).toString('base64');
}

export function isProof(
  exported: Uint8Array,
  spki: Uint8Array,
  key: KeyObject,
  proof: string,
): boolean {
  const signature = Buffer.from(proof, 'base64');
  if (signature.length !== 64) return false;
  return verifyEcdsa('sha256', proofInput(exported, spki), key, signature);
}

/** A key to be certified: SPKI DER in base64, with its proof. */
export interface KeyRequest {
  readonly publicKey: string;
  readonly proof: string;
}

export interface AttestRequest extends KeyRequest {
  readonly token: string;
}

export interface SvidRequest extends KeyRequest {
  readonly entryId: string;
}

/** A JWT-SVID; the issuer's key signs it, so there is none to prove. */
export interface TokenRequest {
  readonly entryId: string;
  readonly audience: readonly [string, ...string[]];
}

/** The members of an object that must be exactly these, all short texts; `undefined` when not. */
function texts<Name extends string>(
  value: JsonValue | undefined,
  names: readonly Name[],
): Readonly<Record<Name, string>> | undefined {
  if (!isJsonObject(value) || Object.keys(value).length !== names.length) return undefined;
  const sound = names.every((name) => {
    const member = Object.hasOwn(value, name) ? value[name] : undefined;
    return typeof member === 'string' && member.length <= 4096;
  });
  return sound ? (value as Readonly<Record<Name, string>>) : undefined;
}

export function readAttestRequest(value: JsonValue | undefined): AttestRequest | undefined {
  return texts(value, ['token', 'publicKey', 'proof']);
}

export function readKeyRequest(value: JsonValue | undefined): KeyRequest | undefined {
  return texts(value, ['publicKey', 'proof']);
}

export function readSvidRequests(value: JsonValue | undefined): readonly SvidRequest[] | undefined {
  const list = isJsonObject(value) ? value.requests : undefined;
  if (!isJsonArray(list) || list.length === 0 || list.length > MAX_SVIDS_PER_REQUEST) {
    return undefined;
  }
  const requests = list.map((one) => texts(one, ['entryId', 'publicKey', 'proof']));
  return requests.some((one) => one === undefined) ? undefined : (requests as SvidRequest[]);
}

/** What the node knows already: the `mark` of the last answer; empty at first. */
export function readWatchRequest(value: JsonValue | undefined): string | undefined {
  return texts(value, ['mark'])?.mark;
}

export function readTokenRequest(value: JsonValue | undefined): TokenRequest | undefined {
  if (!isJsonObject(value) || Object.keys(value).length !== 2) return undefined;
  const { entryId, audience } = value;
  if (typeof entryId !== 'string' || !isJsonArray(audience)) return undefined;
  const [first, ...others] = audience.map((one) => (typeof one === 'string' ? one : ''));
  if (first === undefined || first === '' || others.includes('')) return undefined;
  if (audience.join('').length > MAX_AUDIENCE) return undefined;
  return { entryId, audience: [first, ...others] };
}
