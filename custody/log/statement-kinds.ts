import { createHash } from 'node:crypto';
import { parseSpiffeId, type SpiffeId } from '#identity/spiffe-id.ts';
import { decodeBase64, is256Bits } from '../base64url.ts';

/** That a certificate was issued. Whoever has the CA's key can issue; only both signers can say so. */
export interface Issuance {
  readonly kind: 'issuance';
  readonly id: SpiffeId;
  /** base64url(SHA-256(leaf DER)). */
  readonly thumbprint: string;
  /** Lower-case hex. */
  readonly serial: string;
  /** Seconds since the epoch. */
  readonly nbf: number;
  readonly exp: number;
  /** What the workload was attested as, sorted. */
  readonly selectors: readonly string[];
}

/** That a certificate is not to be believed for what the log takes after this. */
export interface Revocation {
  readonly kind: 'revocation';
  readonly thumbprint: string;
  readonly reason: string;
}

/**
 * That the launcher started a process of this image for this identity. A PID names nothing once the
 * process is gone, so it is not stated: the image and its signature are.
 */
export interface AttestationStatement {
  readonly kind: 'attestation';
  readonly id: SpiffeId;
  readonly image: string;
  /** `sha256:` and 64 hex digits, over the image's manifest. */
  readonly digest: string;
  /** Id of the key that signed the image; empty for an unsigned one. */
  readonly key: string;
  readonly type: string;
  readonly instance: string;
  /** Seconds since the epoch: when it was started. */
  readonly from: number;
}

/** That a key of the trust domain has entered a state, as its issuer's journal has it. */
export interface AuthorityStatement {
  readonly kind: 'authority';
  /** The key's id, as issuances name it in the issuer's own log; of a JWT authority its `kid`. */
  readonly authority: string;
  readonly use: 'x509' | 'jwt';
  /** `prepared`, `active`, `old`, `tainted`, `revoked`; `gone` when it has left the journal. */
  readonly state: string;
  /** Seconds since the epoch. */
  readonly nbf: number;
  readonly exp: number;
  /** base64url(SHA-256): of the certificate's DER; of a JWT key as RFC 7638 has it. */
  readonly fingerprint: string;
  /**
   * DER of the X.509 authority in base64, empty for a JWT authority: who verifies years later needs
   * roots that nobody publishes any more.
   */
  readonly certificate: string;
}

/** Which rules decide, from this entry on until the next statement of this kind. */
export interface PolicyStatement {
  readonly kind: 'policy';
  /** hex(SHA-256) over bundle and grants together, as each decision names it. */
  readonly revision: string;
  /** hex(SHA-256) of the compiled bundle's bytes. */
  readonly digest: string;
  /** hex(SHA-256) of the swarm's grants, the data that the rules read, as JSON. */
  readonly data: string;
  /** Seconds since the epoch: when the launcher began to hand it out. */
  readonly from: number;
}

/** Which keys the trust domain publishes, from this entry on until the next of this kind. */
export interface BundleStatement {
  readonly kind: 'bundle';
  readonly domain: string;
  /** `spiffe_sequence` of the document. */
  readonly sequence: number;
  /** base64url(SHA-256) of the SPIFFE bundle document. */
  readonly digest: string;
}

export type Statement =
  | Issuance
  | Revocation
  | AttestationStatement
  | AuthorityStatement
  | PolicyStatement
  | BundleStatement;
export type StatementKind = Statement['kind'];

type Check = (value: unknown) => boolean;

const LINE = /^[!-~ ]{1,256}$/;
const MAX_SELECTORS = 64;
/** Characters of base64. */
const MAX_CERTIFICATE = 4096;
const matches =
  (form: RegExp): Check =>
  (value) =>
    typeof value === 'string' && form.test(value);
const line = matches(LINE);
const digest = matches(/^[0-9a-f]{64}$/);
const count: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const spiffeId: Check = (value) => typeof value === 'string' && parseSpiffeId(value).ok;

/** Every member of each kind and what it may be: there are no others, and none may be absent. */
const MEMBERS: { readonly [K in StatementKind]: Readonly<Record<string, Check>> } = {
  issuance: {
    id: spiffeId,
    thumbprint: is256Bits,
    serial: matches(/^[0-9a-f]{1,42}$/),
    nbf: count,
    exp: count,
    selectors: (value) =>
      Array.isArray(value) && value.length <= MAX_SELECTORS && value.every(line),
  },
  revocation: { thumbprint: is256Bits, reason: line },
  attestation: {
    id: spiffeId,
    image: line,
    digest: matches(/^sha256:[0-9a-f]{64}$/),
    key: matches(/^[!-~]{0,128}$/),
    type: line,
    instance: line,
    from: count,
  },
  authority: {
    authority: line,
    use: matches(/^(?:x509|jwt)$/),
    state: matches(/^(?:prepared|active|old|tainted|revoked|gone)$/),
    nbf: count,
    exp: count,
    fingerprint: is256Bits,
    certificate: (value) => typeof value === 'string' && value.length <= MAX_CERTIFICATE,
  },
  policy: { revision: line, digest, data: digest, from: count },
  bundle: { domain: line, sequence: count, digest: is256Bits },
};

/** Whether this version knows statements of that kind. */
export function isStatementKind(kind: string): kind is StatementKind {
  return Object.hasOwn(MEMBERS, kind);
}

/** The claims of a statement; `undefined` for a kind or a claim that this version does not know. */
export function parseStatementClaims(
  kind: string,
  claims: Readonly<Record<string, unknown>>,
): Statement | undefined {
  if (!isStatementKind(kind)) return undefined;
  const members = Object.entries(MEMBERS[kind]);
  if (Object.keys(claims).length !== members.length) return undefined;
  if (!members.every(([name, check]) => check(claims[name]))) return undefined;
  if ('nbf' in claims && Number(claims.exp) < Number(claims.nbf)) return undefined;
  const statement = { kind, ...claims } as unknown as Statement;
  return statement.kind === 'authority' && !isOfItsKey(statement) ? undefined : statement;
}

/** The certificate is the one that the fingerprint names. */
function isOfItsKey({ use, certificate, fingerprint }: AuthorityStatement): boolean {
  if (use === 'jwt') return certificate === '';
  const der = decodeBase64(certificate);
  return der !== undefined && createHash('sha256').update(der).digest('base64url') === fingerprint;
}
