import { trustDomainOfKey } from '../bundle.ts';
import type { JwtCode, WorkloadCode } from '../codes.ts';
import type { JwtBundle, JwtBundleSet } from '../jwt/bundle.ts';
import { jwtBundleFromJwks } from '../jwt/jwks.ts';
import { parseJwtSvid } from '../jwt/parse.ts';
import { accept, type Outcome, type Refused, refuse } from '../outcome.ts';
import type { SpiffeId } from '../spiffe-id.ts';
import type { JWTBundlesResponse, JWTSVIDResponse } from './generated/workload_pb.ts';

export interface JwtBundlesUpdate {
  readonly bundles: JwtBundleSet;
  /** Bundles that could not be used: those domains are untrusted until the next message. */
  readonly skipped: readonly Refused<WorkloadCode>[];
}

/** A JWT-SVID as the Workload API handed it out. The token is a secret: whoever has it can use it. */
export interface JwtSvid {
  readonly id: SpiffeId;
  readonly token: string;
  readonly audience: readonly [string, ...string[]];
  readonly expiresAt: Date;
  readonly issuedAt?: Date;
  readonly hint: string;
}

/** Reads a pushed set of JWT bundles. Each trust domain's is judged by itself. */
export function readJwtBundles(
  message: JWTBundlesResponse,
): Outcome<JwtBundlesUpdate, WorkloadCode> {
  const entries = Object.entries(message.bundles);
  if (entries.length === 0) return empty('bundles');
  const bundles = new Map<string, JwtBundle>();
  const skipped: Refused<WorkloadCode>[] = [];
  for (const [key, bytes] of entries) {
    const domain = trustDomainOfKey(key);
    const bundle = domain.ok ? jwtBundleFromJwks(domain.value, bytes) : domain;
    if (bundle.ok) bundles.set(bundle.value.trustDomain, bundle.value);
    else skipped.push(bundle);
  }
  return accept({ bundles, skipped });
}

/**
 * Reads the tokens of an answer, in its order, one per hint. Each must be well-formed, alive, for the
 * audience that was asked for, and of the identity that it is labelled with; the signature is the
 * receiver's to check.
 */
export function readJwtSvids(
  message: JWTSVIDResponse,
  audience: readonly string[],
  now: Date,
): Outcome<readonly [JwtSvid, ...JwtSvid[]], WorkloadCode> {
  const svids: JwtSvid[] = [];
  for (const { spiffeId, svid: token, hint } of message.svids) {
    if (spiffeId === '') return empty('spiffe_id');
    if (token === '') return empty('svid');
    // 6.2.1: of two SVIDs with one hint the first is meant.
    if (hint !== '' && svids.some((svid) => svid.hint === hint)) continue;
    const parsed = parseJwtSvid(token);
    if (!parsed.ok) return invalid(parsed.code, parsed.detail);
    const { id, audience: names, expiry, issuedAt } = parsed.value;
    if (id !== spiffeId) return invalid('JWT_SUBJECT_INVALID', 'spiffe_id is not the subject');
    if (!audience.every((name) => names.includes(name))) {
      return invalid('JWT_AUDIENCE_MISMATCH', 'the token is not for the audience asked for');
    }
    if (expiry * 1000 <= now.getTime()) return invalid('JWT_EXPIRED', 'the token has ended');
    svids.push({
      id,
      token,
      audience: names,
      expiresAt: new Date(expiry * 1000),
      ...(issuedAt !== undefined && { issuedAt: new Date(issuedAt * 1000) }),
      hint,
    });
  }
  const [first, ...others] = svids;
  return first === undefined ? empty('svids') : accept([first, ...others]);
}

function invalid(code: JwtCode, detail: string): Refused<'WORKLOAD_SVID_INVALID'> {
  return refuse('WORKLOAD_SVID_INVALID', `${code}: ${detail}`);
}

function empty(field: string): Refused<'WORKLOAD_FIELD_EMPTY'> {
  return refuse('WORKLOAD_FIELD_EMPTY', `${field} is mandatory`);
}
