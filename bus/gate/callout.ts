import { X509Certificate } from 'node:crypto';
import type { StandingBook } from '#custody/log/standing.ts';
import { accept, type Outcome, type Refused, refuse } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { VerifiedSvid } from '#identity/svid.ts';
import type { GateCode } from '../codes.ts';
import type { Member } from '../directory.ts';
import { SWARM_ACCOUNT } from '../server-config.ts';
import type { NKey } from './nkey.ts';
import {
  decodeServerJwt,
  encodeAuthorizationResponse,
  encodeUserJwt,
  type UserPermissions,
} from './user-jwt.ts';

/** What the gate is given; each lookup answers from memory. */
export interface CalloutOptions {
  /** Signs user JWTs; its public half is pinned in nats-server's configuration. */
  readonly issuer: NKey;
  /** Every X.509-SVID rule, against the bundle of the leaf's own trust domain. DER, leaf first. */
  readonly verify: (chain: readonly Uint8Array[]) => Outcome<VerifiedSvid>;
  readonly member: (id: SpiffeId) => Member | undefined;
  readonly permissions: (id: SpiffeId) => UserPermissions | undefined;
  /** What pinned attesters have stated about a certificate. */
  readonly judge: StandingBook['judge'];
  /** The grant that nobody may be given, if there is one; default: {@link malformedGrant}. */
  readonly malformed?: typeof malformedGrant;
  readonly clock: () => Date;
}

export interface Admission {
  readonly id: SpiffeId;
  readonly member: Member;
  readonly serial: string;
  readonly notAfter: Date;
}

/** What to publish back (absent: the request was not one, silence refuses it), and what happened. */
export interface CalloutAnswer {
  readonly response?: string;
  /** Thumbprint of a certificate that would be let in if it were stated as issued. */
  readonly awaits?: string;
  readonly outcome: Outcome<Admission, GateCode>;
}

type Json = Readonly<Record<string, unknown>>;

function record(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Json)
    : undefined;
}

interface AuthorizationRequest {
  readonly serverId: string;
  readonly userNkey: string;
  readonly connect: Json;
  readonly chain: readonly unknown[];
}

const MAX_REQUEST_BYTES = 256 * 1024;

function parseRequest(bytes: Uint8Array): AuthorizationRequest | undefined {
  if (bytes.length > MAX_REQUEST_BYTES) return undefined;
  const jwt = decodeServerJwt(Buffer.from(bytes).toString('latin1'));
  const nats = record(jwt?.claims.nats);
  if (jwt === undefined || nats === undefined) return undefined;
  // The server signs with the NKey that is its id: another id would be an answer for elsewhere.
  const serverId = record(nats.server_id)?.id;
  const userNkey = nats.user_nkey;
  if (jwt.claims.aud !== 'nats-authorization-request' || serverId !== jwt.issuer) return undefined;
  if (typeof userNkey !== 'string' || !/^U[A-Z2-7]{55}$/.test(userNkey)) return undefined;
  const chains = record(nats.client_tls)?.verified_chains;
  const chain: unknown = Array.isArray(chains) ? chains[0] : undefined;
  return {
    serverId: jwt.issuer,
    userNkey,
    connect: record(nats.connect_opts) ?? {},
    chain: Array.isArray(chain) ? chain : [],
  };
}

/** PEM texts to DER, leaf first. */
function chainOf(pems: readonly unknown[]): readonly Uint8Array[] | undefined {
  const chain: Uint8Array[] = [];
  for (const pem of pems) {
    if (typeof pem !== 'string') return undefined;
    try {
      chain.push(new X509Certificate(pem).raw);
    } catch {
      return undefined;
    }
  }
  return chain;
}

const CLIENT = /^[A-Za-z0-9._+-]{0,64}$/;

/** CONNECT may repeat who the certificate says it is, and nothing else. */
function contradicts(connect: Json, id: SpiffeId): string | undefined {
  for (const field of ['name', 'user'] as const) {
    const said = connect[field];
    if (said !== undefined && said !== '' && said !== id) return field;
  }
  for (const field of ['pass', 'auth_token', 'nkey', 'jwt'] as const) {
    const said = connect[field];
    if (said !== undefined && said !== '') return field;
  }
  // The broker writes both into the log that its denials are read from, and formats them twice: a
  // `%[1]s` in one of them wrote the subject of a denial where the member's name belongs.
  for (const field of ['lang', 'version'] as const) {
    const said = connect[field];
    if (said !== undefined && (typeof said !== 'string' || !CLIENT.test(said))) return field;
  }
  return undefined;
}

const SUBJECT = /^[A-Za-z0-9_$*-]+(?:\.(?:[A-Za-z0-9_$*-]+))*(?:\.>)?$/;
const QUEUE = /^[A-Za-z0-9_-]+$/;

/**
 * A grant is a subject with a literal somewhere; `>` and `*` alone would be the whole swarm. Only
 * platform processes hold subjects of the server: who may pull from JetStream, or acknowledge to
 * it, chooses the reply subject and lets the server publish there. A pull answered to
 * `$JS.API.STREAM.DELETE.LEDGER` deleted the ledger's stream.
 */
export function malformedGrant(permissions: UserPermissions, member: Member): string | undefined {
  const grantable = (subject: string) =>
    SUBJECT.test(subject) &&
    /[A-Za-z0-9]/.test(subject) &&
    (member.kind === 'platform' || !subject.startsWith('$'));
  for (const subject of permissions.publish.allow) {
    if (!grantable(subject)) return subject;
  }
  for (const entry of permissions.subscribe.allow) {
    const [subject = '', queue, ...more] = entry.split(' ');
    if (!grantable(subject) || more.length > 0) return entry;
    if (queue !== undefined && !QUEUE.test(queue)) return entry;
  }
  return undefined;
}

interface Admitted {
  readonly svid: VerifiedSvid;
  readonly member: Member;
  readonly permissions: UserPermissions;
}

/** Everything but whether the certificate is stated as issued: only then is it worth waiting for. */
function admit(
  request: AuthorizationRequest,
  options: CalloutOptions,
): Outcome<Admitted, GateCode> {
  const chain = chainOf(request.chain);
  if (chain === undefined || chain.length === 0) {
    return refuse('GATE_NO_CERTIFICATE', 'no verified client certificate in the request');
  }
  // nats-server checked the chain against one merged file of CAs and knows no SVID rules.
  const verified = options.verify(chain);
  if (!verified.ok) return refuse('GATE_SVID_INVALID', `${verified.code}: ${verified.detail}`);
  const svid = verified.value;
  if (options.judge(svid) === 'revoked') {
    return refuse('GATE_SVID_REVOKED', `${svid.id} is revoked`);
  }
  const field = contradicts(request.connect, svid.id);
  if (field !== undefined) {
    return refuse('GATE_CONNECT_CONTRADICTS', `${svid.id}: CONNECT gives another "${field}"`);
  }
  const member = options.member(svid.id);
  if (member === undefined) return refuse('GATE_NOT_A_MEMBER', `${svid.id} is not a member`);
  let permissions: UserPermissions | undefined;
  try {
    permissions = options.permissions(svid.id);
  } catch {
    // A decision that fails is no decision: nobody gets in on it.
    return refuse('GATE_DECISION_FAILED', `${svid.id}: the policy could not be asked`);
  }
  if (
    permissions === undefined ||
    (permissions.publish.allow.length === 0 && permissions.subscribe.allow.length === 0)
  ) {
    return refuse('GATE_NO_PERMISSIONS', `${svid.id}: the policy grants nothing`);
  }
  const wrong = (options.malformed ?? malformedGrant)(permissions, member);
  if (wrong !== undefined) {
    return refuse('GATE_PERMISSIONS_MALFORMED', `${svid.id}: cannot grant "${wrong}"`);
  }
  return accept({ svid, member, permissions });
}

/**
 * One authorization request to one answer; pure but for the lookups given. `aud` is SWARM and
 * nothing else ever, `name` the SPIFFE ID, `exp` the leaf's notAfter. Never throws on the request;
 * a permissions lookup that throws refuses the connection.
 */
export function answerCallout(bytes: Uint8Array, options: CalloutOptions): CalloutAnswer {
  const request = parseRequest(bytes);
  if (request === undefined) {
    return { outcome: refuse('GATE_REQUEST_MALFORMED', 'not an authorization request') };
  }
  const { serverId, userNkey } = request;
  const issuedAt = Math.floor(options.clock().getTime() / 1000);
  const refused = (outcome: Refused<GateCode>): CalloutAnswer => {
    const refusal = { serverId, userNkey, issuedAt, error: outcome.code };
    return { response: encodeAuthorizationResponse(refusal, options.issuer), outcome };
  };
  const admitted = admit(request, options);
  if (!admitted.ok) return refused(admitted);
  const { svid, member, permissions } = admitted.value;
  // Whoever has the authority's key gets this far; nobody states for them that it was issued.
  if (options.judge(svid) === 'unknown') {
    const detail = `a certificate of ${svid.id} is not stated as issued`;
    return { ...refused(refuse('GATE_SVID_NOT_LOGGED', detail)), awaits: svid.thumbprint };
  }
  const { id, serial, notAfter } = svid;
  const jwt = encodeUserJwt(
    {
      userNkey,
      account: SWARM_ACCOUNT,
      name: id,
      issuedAt,
      expires: Math.floor(notAfter.getTime() / 1000),
      permissions,
    },
    options.issuer,
  );
  const response = { serverId, userNkey, issuedAt, jwt };
  return {
    response: encodeAuthorizationResponse(response, options.issuer),
    outcome: accept({ id, member, serial, notAfter }),
  };
}
