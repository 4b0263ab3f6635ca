import { createHash } from 'node:crypto';
import { base32, type NKey, publicNKey, verifyNKey } from './nkey.ts';

/** What a connection may do; subscribe entries are `subject` or `subject queue`. */
export interface UserPermissions {
  readonly publish: { readonly allow: readonly string[] };
  readonly subscribe: { readonly allow: readonly string[] };
}

export interface UserClaims {
  /** The user NKey that the server made for this connection. */
  readonly userNkey: string;
  /** The account the connection lands in; in this mode of nats-server `aud` names it. */
  readonly account: string;
  readonly name: string;
  /** Seconds since the epoch; the server closes the connection then. */
  readonly issuedAt: number;
  readonly expires: number;
  readonly permissions: UserPermissions;
}

const HEADER = Buffer.from('{"typ":"JWT","alg":"ed25519-nkey"}').toString('base64url');

/** Signs claims as NATS does (JWT v2): `jti` is the base32 SHA-512/256 of the claims without it. */
function signJwt(claims: Readonly<Record<string, unknown>>, key: NKey): string {
  const jti = base32(createHash('sha512-256').update(JSON.stringify(claims)).digest());
  const body = Buffer.from(JSON.stringify({ ...claims, jti })).toString('base64url');
  const input = `${HEADER}.${body}`;
  return `${input}.${Buffer.from(key.sign(Buffer.from(input))).toString('base64url')}`;
}

/** In NATS an empty allow list allows everything, so an empty side is denied in words. */
function side(allow: readonly string[]): Record<string, unknown> {
  return allow.length === 0 ? { deny: ['>'] } : { allow: [...allow] };
}

/**
 * A user JWT. `resp` is never set: with it a service that may answer anybody becomes a reflector.
 * Limits of -1 mean none; `allowed_connection_types` keeps the JWT from every other listener.
 */
export function encodeUserJwt(claims: UserClaims, issuer: NKey): string {
  return signJwt(
    {
      aud: claims.account,
      exp: claims.expires,
      iat: claims.issuedAt,
      iss: issuer.publicKey,
      name: claims.name,
      sub: claims.userNkey,
      nats: {
        pub: side(claims.permissions.publish.allow),
        sub: side(claims.permissions.subscribe.allow),
        subs: -1,
        data: -1,
        payload: -1,
        allowed_connection_types: ['STANDARD'],
        type: 'user',
        version: 2,
      },
    },
    issuer,
  );
}

/** The answer to one authorization request: a user JWT, or an error, for one server and one user. */
export function encodeAuthorizationResponse(
  answer: {
    readonly userNkey: string;
    readonly serverId: string;
    readonly issuedAt: number;
  } & ({ readonly jwt: string } | { readonly error: string }),
  issuer: NKey,
): string {
  return signJwt(
    {
      aud: answer.serverId,
      iat: answer.issuedAt,
      iss: issuer.publicKey,
      sub: answer.userNkey,
      nats: {
        ...('jwt' in answer ? { jwt: answer.jwt } : { error: answer.error }),
        type: 'authorization_response',
        version: 2,
      },
    },
    issuer,
  );
}

export interface DecodedJwt {
  readonly issuer: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function parseSegment(segment: string): Record<string, unknown> | undefined {
  try {
    return asRecord(JSON.parse(Buffer.from(segment, 'base64url').toString('utf8')));
  } catch {
    return undefined;
  }
}

/** Decodes a NATS JWT signed by the server NKey in its `iss`; `undefined` when anything is off. */
export function decodeServerJwt(token: string): DecodedJwt | undefined {
  const parts = token.split('.');
  const [header, body, signature] = parts;
  if (parts.length !== 3 || header === undefined || body === undefined || signature === undefined) {
    return undefined;
  }
  const head = parseSegment(header);
  const claims = parseSegment(body);
  if (head?.alg !== 'ed25519-nkey' || claims === undefined) return undefined;
  if (typeof claims.iss !== 'string') return undefined;
  const key = publicNKey('server', claims.iss);
  if (key === undefined) return undefined;
  const input = Buffer.from(`${header}.${body}`);
  if (!verifyNKey(key, input, Buffer.from(signature, 'base64url'))) return undefined;
  return { issuer: claims.iss, claims };
}
