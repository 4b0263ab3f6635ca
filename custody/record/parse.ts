import { accept, type Outcome, type Refused, refuse } from '#identity/outcome.ts';
import { decodeBase64Url, is256Bits } from '../base64url.ts';
import { isCanonical } from '../canonical.ts';
import type { RecordCode } from '../codes.ts';
import { recordIdOf } from '../digest.ts';
import type { RecordClaims, RecordId } from '../record.ts';
import {
  type BatchCache,
  type BatchPlace,
  parseBatchClaims,
  parsePlace,
  type SignedBatch,
} from './batch.ts';
import { parseClaims } from './claims.ts';

/** 16 causes and several audiences fit three times over. */
export const MAX_JWS_CHARACTERS = 16_384;
/** 64 bytes, r ‖ s (RFC 7518 3.4). */
const SIGNATURE_BYTES = 64;
const MAX_HEADER_CHARACTERS = 256;

/** A well-formed record. Nothing is proven yet: `claims` are what somebody wrote. */
export interface ParsedRecord {
  readonly id: RecordId;
  readonly jws: string;
  /** `x5t#S256`: which certificate is said to have signed. */
  readonly thumbprint: string;
  readonly claims: RecordClaims;
  /** `header.claims`: what the id is the hash of, and what the signature covers. */
  readonly signingInput: string;
  readonly signature: Uint8Array;
  /** Present when the signature covers a batch, and the batch this record. */
  readonly batch?: BatchPlace;
}

/** A text that signs one thing never signs the other: the type tells a record from a batch. */
export type HeaderType = 'custody+jwt' | 'custody-batch+jwt';
const HEADER_SUFFIX = '"}';
const prefixOf = (type: HeaderType) => `{"alg":"ES256","typ":"${type}","x5t#S256":"`;

/** The one protected header: canonical JSON, so there is one spelling. */
export function headerText(thumbprint: string, type: HeaderType = 'custody+jwt'): string {
  return `${prefixOf(type)}${thumbprint}${HEADER_SUFFIX}`;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses a record: a JWS in compact serialisation (RFC 7515 7.1), or `claims~index~path~` and the
 * JWS of the batch that it was signed in. Never throws; no cryptography but one hash happens here,
 * so that malformed input costs microseconds. A batch that is in `batches` is not parsed again.
 */
export function parseRecord(
  text: string,
  batches?: Pick<BatchCache, 'find'>,
): Outcome<ParsedRecord, RecordCode> {
  if (text.length > MAX_JWS_CHARACTERS) {
    return refuse('RECORD_TOO_LARGE', `a record has at most ${MAX_JWS_CHARACTERS} characters`);
  }
  return text.includes('~') ? parseBatched(text, batches) : parseSingle(text);
}

function parseSingle(jws: string): Outcome<ParsedRecord, RecordCode> {
  const parts = parseCompact(jws, 'custody+jwt');
  if (!parts.ok) return parts;
  const { thumbprint, claims: bytes, signingInput, signature } = parts.value;
  const claims = parseClaimBytes(bytes);
  if (!claims.ok) return claims;
  const id = recordIdOf(signingInput);
  return accept({ id, jws, thumbprint, claims: claims.value, signingInput, signature });
}

function parseBatched(
  text: string,
  batches: Pick<BatchCache, 'find'> | undefined,
): Outcome<ParsedRecord, RecordCode> {
  const [claimText = '', index = '', path = '', jws = '', ...more] = text.split('~');
  const bytes = decodeBase64Url(claimText);
  if (more.length > 0 || claimText === '' || bytes === undefined) {
    return refuse('RECORD_FORM_INVALID', 'a record of a batch is claims, index, path and batch');
  }
  const known = batches?.find(jws);
  const signed = known === undefined ? parseBatch(jws) : accept(known);
  if (!signed.ok) return signed;
  const place = parsePlace(index, path);
  if (!place.ok) return place;
  const claims = parseClaimBytes(bytes);
  if (!claims.ok) return claims;
  const signingInput = `${jws.slice(0, jws.indexOf('.'))}.${claimText}`;
  const id = recordIdOf(signingInput);
  const { thumbprint, signature, batch } = signed.value;
  const parsed = { id, jws: text, thumbprint, claims: claims.value, signingInput, signature };
  return accept({ ...parsed, batch: { ...batch, ...place.value } });
}

/** The JWS of a batch: its form alone, nothing is proven. */
function parseBatch(jws: string): Outcome<SignedBatch, RecordCode> {
  const parts = parseCompact(jws, 'custody-batch+jwt');
  if (!parts.ok) return parts;
  const { thumbprint, signature, signingInput } = parts.value;
  const claims = parseBatchClaims(parts.value.claims);
  if (!claims.ok) return claims;
  return accept({ thumbprint, signature, batch: { signingInput, jws, ...claims.value } });
}

interface Compact {
  readonly thumbprint: string;
  readonly claims: Uint8Array;
  readonly signingInput: string;
  readonly signature: Uint8Array;
}

function parseCompact(jws: string, type: HeaderType): Outcome<Compact, RecordCode> {
  const first = jws.indexOf('.');
  const second = jws.indexOf('.', first + 1);
  if (first < 1 || second === -1 || jws.indexOf('.', second + 1) !== -1) {
    return refuse('RECORD_FORM_INVALID', 'a record is three parts joined by "."');
  }
  if (first > MAX_HEADER_CHARACTERS) {
    return refuse('RECORD_TOO_LARGE', `a header has at most ${MAX_HEADER_CHARACTERS} characters`);
  }
  const headerBytes = decodeBase64Url(jws.slice(0, first));
  const claims = decodeBase64Url(jws.slice(first + 1, second));
  const signature = decodeBase64Url(jws.slice(second + 1));
  if (headerBytes === undefined || claims === undefined || signature === undefined) {
    return refuse('RECORD_FORM_INVALID', 'a part is not canonical base64url');
  }
  const header = parseHeader(headerBytes, type);
  if (!header.ok) return header;
  // After the header: a record with `alg: none` is named for that, not for its empty signature.
  if (signature.length !== SIGNATURE_BYTES) {
    return refuse('RECORD_FORM_INVALID', `an ES256 signature has ${SIGNATURE_BYTES} bytes`);
  }
  const signingInput = jws.slice(0, second);
  return accept({ thumbprint: header.value, claims, signingInput, signature });
}

function parseClaimBytes(bytes: Uint8Array): Outcome<RecordClaims, RecordCode> {
  const json = parseJson(bytes);
  if (json === undefined) {
    return refuse('RECORD_CLAIMS_NOT_JSON', 'the claims are not UTF-8 JSON');
  }
  // One comparison refuses duplicate keys, odd escapes, floats, whitespace and key order.
  if (!isCanonical(json.value, json.text)) {
    return refuse('RECORD_NOT_CANONICAL', 'the claims are not canonical JSON (RFC 8785)');
  }
  return parseClaims(json.value);
}

function parseJson(
  bytes: Uint8Array,
): { readonly text: string; readonly value: unknown } | undefined {
  try {
    const text = utf8.decode(bytes);
    return { text, value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

const HEADER_MEMBERS: ReadonlySet<string> = new Set(['alg', 'typ', 'x5t#S256']);

/** The thumbprint, when the header is byte for byte the one this profile allows. */
function parseHeader(bytes: Uint8Array, type: HeaderType): Outcome<string, RecordCode> {
  const text = Buffer.from(bytes).toString('latin1');
  const thumbprint = text.slice(prefixOf(type).length, -HEADER_SUFFIX.length);
  if (is256Bits(thumbprint) && text === headerText(thumbprint, type)) return accept(thumbprint);
  return refuseHeader(bytes, type);
}

/** Everything else is refused; this only finds the name for it. */
function refuseHeader(bytes: Uint8Array, type: HeaderType): Refused<RecordCode> {
  const value = parseJson(bytes)?.value;
  if (typeof value !== 'object' || value === null) {
    return refuse('RECORD_HEADER_INVALID', 'the protected header is not a JSON object');
  }
  const header = value as Record<string, unknown>;
  // `jwk`, `jku`, `x5u` and `kid` let the sender choose the key; `crit` and `b64` the rules.
  if (Object.keys(header).some((member) => !HEADER_MEMBERS.has(member))) {
    return refuse('RECORD_HEADER_MEMBER', 'the header has a member beyond alg, typ, x5t#S256');
  }
  if (header.alg !== 'ES256') return refuse('RECORD_ALG_INVALID', 'alg is not ES256');
  if (header.typ !== type) return refuse('RECORD_TYP_INVALID', `typ is not ${type}`);
  return refuse('RECORD_HEADER_INVALID', 'the protected header is not in its one spelling');
}
