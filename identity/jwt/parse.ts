import { decodeBase64Url } from '../base64url.ts';
import type { JwtCode } from '../codes.ts';
import { isJsonArray, isJsonObject, type JsonObject, readJson } from '../json.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { parseSpiffeId, type SpiffeId } from '../spiffe-id.ts';
import { isPermitted } from './algorithms.ts';

/** A well-formed JWT-SVID. Nothing is proven yet: `claims` are what somebody wrote. */
export interface ParsedJwtSvid {
  readonly algorithm: string;
  readonly kid: string;
  readonly id: SpiffeId;
  readonly audience: readonly [string, ...string[]];
  /** Seconds since the epoch, possibly with a fraction. */
  readonly expiry: number;
  readonly notBefore?: number;
  readonly issuedAt?: number;
  readonly claims: JsonObject;
  /** `header.claims`, which the signature covers. */
  readonly input: string;
  readonly signature: Uint8Array;
}

/** Bound on what a stranger can make a validator read; a token of ours has under 1 KiB. */
const MAX_TOKEN_CHARACTERS = 16_384;
const MEMBERS: ReadonlySet<string> = new Set(['alg', 'kid', 'typ']);
const TYPES: ReadonlySet<unknown> = new Set([undefined, 'JWT', 'JOSE']);
/** Largest time that a Date holds. */
const MAX_SECONDS = 8.64e12;
const LIMITS = { maxBytes: MAX_TOKEN_CHARACTERS } as const;

/**
 * Reads a JWT-SVID in JWS compact serialisation, in which each value has one spelling. Never throws,
 * and no cryptography happens here. The algorithm is judged before anything behind the header is
 * looked at (JWT-SVID 4).
 */
export function parseJwtSvid(token: string): Outcome<ParsedJwtSvid, JwtCode> {
  if (token.length > MAX_TOKEN_CHARACTERS) {
    return refuse('JWT_TOO_LONG', `a token has at most ${MAX_TOKEN_CHARACTERS} characters`);
  }
  const first = token.indexOf('.');
  const second = token.indexOf('.', first + 1);
  if (first < 1 || second <= first + 1 || token.includes('.', second + 1)) {
    return refuse('JWT_MALFORMED', 'a token is three parts joined by ".", none of JSON');
  }
  const header = readObject(token.slice(0, first));
  if (header === undefined) {
    return refuse('JWT_MALFORMED', 'the header is not base64url of a JSON object');
  }
  const { alg, kid, typ } = header;
  if (typeof alg !== 'string' || !isPermitted(alg)) {
    return refuse('JWT_ALGORITHM_NOT_ALLOWED', 'alg is not RS, ES or PS with 256, 384 or 512');
  }
  if (!Object.keys(header).every((name) => MEMBERS.has(name))) {
    return refuse('JWT_HEADER_NOT_ALLOWED', 'a header has alg, kid and typ, and nothing else');
  }
  if (!TYPES.has(typ)) return refuse('JWT_TYPE_INVALID', 'typ is neither JWT nor JOSE');
  if (typeof kid !== 'string' || kid === '') {
    return refuse('JWT_KID_MISSING', 'the header names no key');
  }
  const signature = decodeBase64Url(token.slice(second + 1));
  const claims = readObject(token.slice(first + 1, second));
  if (signature === undefined || signature.length === 0 || claims === undefined) {
    return refuse('JWT_MALFORMED', 'claims or signature are not base64url of what they should be');
  }
  const read = readClaims(claims);
  if (!read.ok) return read;
  return accept({ algorithm: alg, kid, ...read.value, input: token.slice(0, second), signature });
}

type Claims = Pick<
  ParsedJwtSvid,
  'id' | 'audience' | 'expiry' | 'notBefore' | 'issuedAt' | 'claims'
>;

function readClaims(claims: JsonObject): Outcome<Claims, JwtCode> {
  const { sub, aud, exp, nbf, iat } = claims;
  const id = typeof sub === 'string' ? parseSpiffeId(sub) : undefined;
  if (id?.ok !== true) {
    return refuse('JWT_SUBJECT_INVALID', id?.detail ?? 'sub is not a SPIFFE ID');
  }
  const [first, ...others] = (isJsonArray(aud) ? aud : [aud]).filter((one) => one !== undefined);
  if (first === undefined) return refuse('JWT_AUDIENCE_MISSING', 'the token is for nobody');
  if (typeof first !== 'string' || !others.every((one) => typeof one === 'string')) {
    return refuse('JWT_CLAIM_INVALID', 'aud is not a text or a list of them');
  }
  if (exp === undefined) return refuse('JWT_EXPIRY_MISSING', 'the token never ends');
  if (!isTime(exp)) return refuse('JWT_CLAIM_INVALID', 'exp is not a time in seconds');
  if (nbf !== undefined && !isTime(nbf)) {
    return refuse('JWT_CLAIM_INVALID', 'nbf is not a time in seconds');
  }
  if (iat !== undefined && !isTime(iat)) {
    return refuse('JWT_CLAIM_INVALID', 'iat is not a time in seconds');
  }
  return accept({
    id: id.value,
    audience: [first, ...others],
    expiry: exp,
    ...(nbf !== undefined && { notBefore: nbf }),
    ...(iat !== undefined && { issuedAt: iat }),
    claims,
  });
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= MAX_SECONDS;
}

function readObject(part: string): JsonObject | undefined {
  const bytes = decodeBase64Url(part);
  const value = bytes && readJson(bytes, LIMITS);
  return isJsonObject(value) ? value : undefined;
}
