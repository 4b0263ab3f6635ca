import { createHash } from 'node:crypto';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { parseSpiffeId, pathOf, type SpiffeId, trustDomainOf } from '../spiffe-id.ts';
import { shownName } from './shown.ts';

/** A property of a caller that an attestor found, in SPIRE's notation `type:value`. */
export interface Selector {
  readonly type: string;
  readonly value: string;
}

/** A registration entry as it is handed in; names of `spire.api.types.Entry`. */
export interface EntryInput {
  readonly id?: string | undefined;
  readonly spiffe_id: string;
  /** Default: the trust domain's `/spire/server`, under which this machine's workloads are. */
  readonly parent_id?: string | undefined;
  readonly selectors: readonly Selector[];
  /** Seconds; 0 or absent: SPIRE's default, an hour. */
  readonly x509_svid_ttl?: number | undefined;
  /** Seconds; 0 or absent: SPIRE's default, five minutes. */
  readonly jwt_svid_ttl?: number | undefined;
  /** Trust domains, as names or as SPIFFE IDs. */
  readonly federates_with?: readonly string[] | undefined;
  readonly dns_names?: readonly string[] | undefined;
  readonly hint?: string | undefined;
  /** Seconds since the epoch; 0 or absent: never. */
  readonly expires_at?: number | undefined;
  readonly jwt_svid_include_jti?: boolean | undefined;
}

/** A stored registration entry: who has all of `selectors` gets `spiffe_id`. */
export interface RegistrationEntry {
  readonly id: string;
  readonly spiffe_id: SpiffeId;
  readonly parent_id: SpiffeId;
  readonly selectors: readonly Selector[];
  readonly x509_svid_ttl: number;
  readonly jwt_svid_ttl: number;
  /** Names of trust domains. */
  readonly federates_with: readonly string[];
  readonly dns_names: readonly string[];
  readonly hint: string;
  /** Seconds since the epoch; 0: never. From then on the entry gives nothing. */
  readonly expires_at: number;
  readonly jwt_svid_include_jti: boolean;
  /** Bumped on each change of the entry. */
  readonly revision_number: number;
  /** Seconds since the epoch. */
  readonly created_at: number;
}

/** What an entry is checked against. */
export interface EntryRules {
  readonly trustDomain: string;
  readonly now: Date;
  /** Whether a bundle of this foreign trust domain is held. */
  readonly federated: (trustDomain: string) => boolean;
}

/** Below this, renewal at half-life would leave no time for a reconnect. */
export const MIN_TTL_SECONDS = 10;
export const MAX_TTL_SECONDS = 24 * 3600;
/** SPIRE's `default_x509_svid_ttl` and `default_jwt_svid_ttl`. */
export const DEFAULT_X509_TTL_SECONDS = 3600;
export const DEFAULT_JWT_TTL_SECONDS = 300;
const MAX_ID = 255;
const ENTRY_ID = /^[a-zA-Z0-9._-]+$/;
const DNS_NAME =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

export function isDnsName(text: string): boolean {
  return DNS_NAME.test(text);
}

export function selectorText(selector: Selector): string {
  return `${selector.type}:${selector.value}`;
}

/** The parent of what runs on the issuer's own machine, which this issuer serves itself. */
export function localParent(trustDomain: string): string {
  return `spiffe://${trustDomain}/spire/server`;
}

/** SPIRE's identity of an entry: the same ID, parent and selectors are the same entry. */
export function similarityOf(
  entry: Pick<RegistrationEntry, 'spiffe_id' | 'parent_id' | 'selectors'>,
): string {
  return JSON.stringify([
    entry.spiffe_id,
    entry.parent_id,
    entry.selectors.map(selectorText).sort(),
  ]);
}

export function isExpired(entry: RegistrationEntry, now: Date): boolean {
  return entry.expires_at !== 0 && entry.expires_at * 1000 <= now.getTime();
}

/** Checks one entry against SPIRE's rules; the store sets `revision_number` and `created_at`. */
export function parseEntry(
  input: EntryInput,
  rules: EntryRules,
): Outcome<RegistrationEntry, 'ENTRY_INVALID'> {
  const { trustDomain, now } = rules;
  const bad = (why: string) =>
    refuse('ENTRY_INVALID', `entry ${shownName(input.spiffe_id)}: ${why}`);
  const id = parseSpiffeId(input.spiffe_id);
  if (!id.ok) return bad(id.detail);
  if (trustDomainOf(id.value) !== trustDomain) return bad(`not in trust domain ${trustDomain}`);
  // a leaf has a path. SPIRE keeps /spire/ for its own parts.
  if (pathOf(id.value) === '') return bad('a workload needs a path');
  if (pathOf(id.value).startsWith('/spire/')) return bad('the path prefix /spire/ is reserved');
  const parent = parseSpiffeId(input.parent_id ?? localParent(trustDomain));
  if (!parent.ok) return bad(`parent_id: ${parent.detail}`);
  if (trustDomainOf(parent.value) !== trustDomain || pathOf(parent.value) === '') {
    return bad(`parent_id is not the ID of a node of ${trustDomain}`);
  }
  const selectors = distinct(input.selectors);
  if (selectors.length === 0) return bad('the selector list is empty');
  if (selectors.some((one) => one.type === '' || one.type.includes(':') || one.value === '')) {
    return bad('a selector is type:value, both not empty');
  }
  const x509 = input.x509_svid_ttl || DEFAULT_X509_TTL_SECONDS;
  if (!isTtl(x509)) return bad(`x509_svid_ttl is ${MIN_TTL_SECONDS} to ${MAX_TTL_SECONDS} seconds`);
  const jwt = input.jwt_svid_ttl || DEFAULT_JWT_TTL_SECONDS;
  if (!isTtl(jwt)) return bad(`jwt_svid_ttl is ${MIN_TTL_SECONDS} to ${MAX_TTL_SECONDS} seconds`);
  const dns = input.dns_names ?? [];
  if (!dns.every(isDnsName)) return bad('a DNS name is not well-formed');
  // a hint has at most 1,024 bytes.
  if (Buffer.byteLength(input.hint ?? '') > 1024) return bad('the hint exceeds 1024 bytes');
  const expires = input.expires_at ?? 0;
  if (!Number.isSafeInteger(expires) || expires < 0) {
    return bad('expires_at is a time in whole seconds since the epoch');
  }
  const foreign = readTrustDomains(input.federates_with ?? []);
  if (foreign === undefined) return bad('federates_with names trust domains');
  const unknown = foreign.find((one) => one === trustDomain || !rules.federated(one));
  if (unknown !== undefined) return bad(`federates_with: no bundle is held for ${unknown}`);
  const given = input.id;
  if (given !== undefined && (given.length > MAX_ID || !ENTRY_ID.test(given))) {
    return bad(`an entry id has 1 to ${MAX_ID} characters out of a-z, A-Z, 0-9, ".", "-" and "_"`);
  }
  const body = { spiffe_id: id.value, parent_id: parent.value, selectors };
  return accept({
    id: given ?? createHash('sha256').update(similarityOf(body)).digest('hex').slice(0, 32),
    ...body,
    x509_svid_ttl: x509,
    jwt_svid_ttl: jwt,
    federates_with: foreign,
    dns_names: [...dns],
    hint: input.hint ?? '',
    expires_at: expires,
    jwt_svid_include_jti: input.jwt_svid_include_jti ?? false,
    revision_number: 0,
    created_at: Math.floor(now.getTime() / 1000),
  });
}

function isTtl(seconds: number): boolean {
  return Number.isInteger(seconds) && seconds >= MIN_TTL_SECONDS && seconds <= MAX_TTL_SECONDS;
}

function distinct(selectors: readonly Selector[]): readonly Selector[] {
  const seen = new Map(selectors.map((one) => [selectorText(one), one]));
  return [...seen.values()].map(({ type, value }) => ({ type, value }));
}

/** Each a name or the SPIFFE ID of a trust domain, as SPIRE takes them. */
function readTrustDomains(names: readonly string[]): readonly string[] | undefined {
  const domains = new Set<string>();
  for (const name of names) {
    const id = parseSpiffeId(name.startsWith('spiffe://') ? name : `spiffe://${name}`);
    if (!id.ok || pathOf(id.value) !== '') return undefined;
    domains.add(trustDomainOf(id.value));
  }
  return [...domains];
}
