import type { JwtCode } from '../codes.ts';
import type { JsonObject } from '../json.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { type SpiffeId, trustDomainOf } from '../spiffe-id.ts';
import { isSigned, suits } from './algorithms.ts';
import type { JwtBundleSet } from './bundle.ts';
import { parseJwtSvid } from './parse.ts';

/** A token that has passed every JWT-SVID rule against its own trust domain's bundle. */
export interface VerifiedJwtSvid {
  readonly id: SpiffeId;
  /** All that the token names; the validator's own name is among them. */
  readonly audience: readonly [string, ...string[]];
  readonly expiresAt: Date;
  readonly issuedAt?: Date;
  readonly kid: string;
  /** All claims, as signed. */
  readonly claims: JsonObject;
}

export interface JwtValidation {
  /** The name, or names, that the validator answers to. */
  readonly audience: string | readonly string[];
  readonly bundles: JwtBundleSet;
  readonly now: Date;
  /** How far the clocks of issuer and validator may differ, in seconds; none unless it is said. */
  readonly leeway?: number;
}

/**
 * Validates a JWT-SVID against the JWT bundle of its subject's trust domain and no other (JWT-SVID 4,
 * Workload API 6.3). Never throws on any text. What it does not say: whether the sender is the
 * workload. A token is a bearer token; whoever has seen it can send it again until it ends.
 */
export function validateJwtSvid(
  token: string,
  { audience, bundles, now, leeway = 0 }: JwtValidation,
): Outcome<VerifiedJwtSvid, JwtCode> {
  const parsed = parseJwtSvid(token);
  if (!parsed.ok) return parsed;
  const svid = parsed.value;
  const domain = trustDomainOf(svid.id);
  const bundle = bundles.get(domain);
  if (bundle === undefined || bundle.trustDomain !== domain) {
    return refuse('JWT_TRUST_DOMAIN_UNKNOWN', `no JWT bundle for ${domain}`);
  }
  const key = bundle.keys.get(svid.kid);
  if (key === undefined) return refuse('JWT_KEY_UNKNOWN', `no key of ${domain} has this kid`);
  if (!suits(svid.algorithm, key)) {
    return refuse('JWT_KEY_UNSUITABLE', `the named key makes no ${svid.algorithm} signatures`);
  }
  if (!isSigned(svid.algorithm, key, Buffer.from(svid.input), svid.signature)) {
    return refuse('JWT_SIGNATURE_INVALID', 'the named key did not make this signature');
  }
  const seconds = now.getTime() / 1000;
  // RFC 7519 4.1.4: the present is before `exp`, not at it.
  if (!(seconds < svid.expiry + leeway)) return refuse('JWT_EXPIRED', 'the token has ended');
  if (svid.notBefore !== undefined && !(seconds >= svid.notBefore - leeway)) {
    return refuse('JWT_NOT_YET_VALID', 'the token has not begun');
  }
  const names = typeof audience === 'string' ? [audience] : audience;
  if (!names.some((name) => name !== '' && svid.audience.includes(name))) {
    return refuse('JWT_AUDIENCE_MISMATCH', 'the token is for somebody else');
  }
  return accept({
    id: svid.id,
    audience: svid.audience,
    expiresAt: new Date(svid.expiry * 1000),
    ...(svid.issuedAt !== undefined && { issuedAt: new Date(svid.issuedAt * 1000) }),
    kid: svid.kid,
    claims: svid.claims,
  });
}
