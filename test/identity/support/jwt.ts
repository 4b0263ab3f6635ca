import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { jwtBundleToJwks } from '#identity/jwt/jwks.ts';
import { signJwtSvid } from '#identity/jwt/sign.ts';
import { spiffeId } from '#identity/spiffe-id.ts';

/** A JWT authority of a trust domain that the test plays. */
export interface JwtAuthority {
  readonly trustDomain: string;
  readonly kid: string;
  readonly publicKey: KeyObject;
  /** Its JWK Set, as the Workload API carries it. */
  readonly jwks: Uint8Array;
  token(id: string, audience: string, wish?: TokenWish): string;
}

interface TokenWish {
  readonly issuedAt?: Date;
  readonly notAfter?: Date;
}

export function jwtAuthority(trustDomain: string, kid = 'k1'): JwtAuthority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    trustDomain,
    kid,
    publicKey,
    jwks: jwtBundleToJwks({ trustDomain, keys: new Map([[kid, publicKey]]) }),
    token: (id, audience, { issuedAt = new Date(), notAfter } = {}) =>
      signJwtSvid({
        id: spiffeId(id),
        audience: [audience],
        key: privateKey,
        kid,
        issuedAt,
        notAfter: notAfter ?? new Date(issuedAt.getTime() + 300_000),
      }),
  };
}
