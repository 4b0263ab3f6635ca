import type { KeyObject } from 'node:crypto';
import { signP256 } from '../ecdsa.ts';
import type { SpiffeId } from '../spiffe-id.ts';

export interface JwtSvidRequest {
  readonly id: SpiffeId;
  /** Who the token is for. One is recommended: with two, each can act as the holder at the other. */
  readonly audience: readonly [string, ...string[]];
  /** P-256 private key of a JWT authority. */
  readonly key: KeyObject;
  /** Under which the bundle has the public half. */
  readonly kid: string;
  readonly issuedAt: Date;
  readonly notAfter: Date;
  /** SPIRE's `jwt_svid_include_jti`. */
  readonly jti?: string;
}

/**
 * Issues a JWT-SVID: JWS compact, ES256, a header of exactly `alg`, `kid` and `typ`, and the claims
 * `sub`, `aud`, `exp`, `iat` (JWT-SVID 2 and 3). Times are cut to whole seconds.
 * @throws Error on a key that is not P-256, an empty audience or kid, or a life that has no length:
 * these are faults of the issuer, never of the caller of the Workload API.
 */
export function signJwtSvid(request: JwtSvidRequest): string {
  const { id, audience, key, kid, jti } = request;
  if (key.type !== 'private' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new Error('a JWT-SVID is signed by a P-256 private key');
  }
  if (audience.length === 0 || audience.includes('') || kid === '') {
    throw new Error('a JWT-SVID needs an audience and a kid');
  }
  const iat = Math.floor(request.issuedAt.getTime() / 1000);
  const exp = Math.floor(request.notAfter.getTime() / 1000);
  if (!(exp > iat)) throw new Error('a JWT-SVID ends after it begins');
  const header = { alg: 'ES256', kid, typ: 'JWT' };
  const claims = { sub: id, aud: audience, exp, iat, ...(jti !== undefined && { jti }) };
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${signP256(Buffer.from(input), key).toString('base64url')}`;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
