import { X509Certificate } from 'node:crypto';
import { decodeBase64 } from './base64url.ts';
import { bundleFromCertificates, isTrustDomain } from './bundle.ts';
import type { BundleCode } from './codes.ts';
import { isJsonArray, isJsonObject, type JsonObject, type JsonValue, readJson } from './json.ts';
import { readJwk, writeJwk } from './jwk.ts';
import type { JwtBundle } from './jwt/bundle.ts';
import { jwtBundleFrom, jwtBundleToKeys, readKeys } from './jwt/jwks.ts';
import { accept, type Outcome, refuse } from './outcome.ts';
import type { X509Bundle } from './svid.ts';

/** All that a trust domain publishes, each kind of authority apart from the others. */
export interface SpiffeBundle {
  readonly trustDomain: string;
  readonly x509: X509Bundle;
  readonly jwt: JwtBundle;
  /** Grows with each change of the contents; 64 bits. */
  readonly sequence?: bigint;
  /** Seconds after which a consumer should look again. */
  readonly refreshHint?: number;
}

const LIMITS = { maxBytes: 1024 * 1024, bigints: true } as const;
const X509_USE = 'x509-svid';
const JWT_USE = 'jwt-svid';
const MAX_SEQUENCE = 2n ** 64n - 1n;

/** Where a bundle says nothing: five minutes, so that a revoked key is not trusted for long. */
const DEFAULT_REFRESH_SECONDS = 300;
/** A hint of 0 is no invitation to ask without a pause. */
const MIN_REFRESH_SECONDS = 1;

/** After how many seconds a consumer looks for a newer bundle (Trust Domain and Bundle 4.1.2, 6.1). */
export function refreshSeconds({ refreshHint = DEFAULT_REFRESH_SECONDS }: SpiffeBundle): number {
  return Math.max(refreshHint, MIN_REFRESH_SECONDS);
}

/**
 * Reads a SPIFFE bundle document (Trust Domain and Bundle 4) as that of `trustDomain`, which the
 * document itself does not name. Entries of unknown `kty` or `use`, without `use`, or for X.509
 * without `x5c`, are passed over; what is understood and broken spoils the whole.
 */
export function readBundleDocument(
  trustDomain: string,
  bytes: Uint8Array,
): Outcome<SpiffeBundle, BundleCode> {
  return readBundle(trustDomain, readJson(bytes, LIMITS));
}

/**
 * Reads a SPIFFE bundle map (Trust Domain and Bundle 5): each bundle under its own trust domain, no
 * name twice. Refresh hints inside are not for a map's reader, and are left out.
 */
export function readBundleMap(
  bytes: Uint8Array,
): Outcome<ReadonlyMap<string, SpiffeBundle>, BundleCode> {
  // A name that stands twice in an object is refused there.
  const document = readJson(bytes, LIMITS);
  const domains = isJsonObject(document) ? document.trust_domains : undefined;
  if (!isJsonObject(domains)) {
    return refuse('BUNDLE_MALFORMED', 'a bundle map is JSON with trust_domains, each once');
  }
  const bundles = new Map<string, SpiffeBundle>();
  for (const [trustDomain, value] of Object.entries(domains)) {
    if (!isTrustDomain(trustDomain)) {
      return refuse('BUNDLE_TRUST_DOMAIN_INVALID', 'a bundle map is keyed by trust domain names');
    }
    const bundle = readBundle(trustDomain, value);
    if (!bundle.ok) return bundle;
    const { refreshHint: _ofThePart, ...kept } = bundle.value;
    bundles.set(trustDomain, kept);
  }
  return accept(bundles);
}

/** The document that a trust domain publishes. @throws Error on a sequence or hint that is no such. */
export function writeBundleDocument(bundle: SpiffeBundle): string {
  const { x509, jwt, sequence, refreshHint } = bundle;
  if (sequence !== undefined && (sequence < 0n || sequence > MAX_SEQUENCE)) {
    throw new Error('a bundle sequence is a number of 64 bits');
  }
  if (refreshHint !== undefined && !isHint(refreshHint)) {
    throw new Error('a refresh hint is a whole number of seconds');
  }
  const authorities = x509.authorities.map((authority) => ({
    // No kid (X509-SVID 6.1), and exactly one certificate.
    ...writeJwk(authority.publicKey),
    use: X509_USE,
    x5c: [authority.raw.toString('base64')],
  }));
  const keys = JSON.stringify([...authorities, ...jwtBundleToKeys(jwt)]);
  // Spelled here: JSON.stringify writes no integer that a double cannot hold.
  const head = [
    ...(sequence === undefined ? [] : [`"spiffe_sequence":${sequence}`]),
    ...(refreshHint === undefined ? [] : [`"spiffe_refresh_hint":${refreshHint}`]),
  ];
  return `{${[...head, `"keys":${keys}`].join(',')}}`;
}

function readBundle(
  trustDomain: string,
  document: JsonValue | undefined,
): Outcome<SpiffeBundle, BundleCode> {
  const malformed = (what: string) =>
    refuse('BUNDLE_MALFORMED', `bundle of ${trustDomain}: ${what}`);
  if (!isJsonObject(document)) return malformed('not strict JSON');
  const entries = readKeys(document);
  if (entries === undefined) return malformed('keys is not an array of JWKs');
  const { spiffe_sequence, spiffe_refresh_hint } = document;
  const sequence = readSequence(spiffe_sequence);
  if (sequence === null) return malformed('spiffe_sequence is not an integer of 64 bits');
  if (spiffe_refresh_hint !== undefined && !isHint(spiffe_refresh_hint)) {
    return malformed('spiffe_refresh_hint is not a whole number of seconds');
  }
  const jwt = jwtBundleFrom(
    trustDomain,
    entries.filter(({ use }) => use === JWT_USE),
  );
  if (!jwt.ok) return jwt;
  const x509 = readX509(
    trustDomain,
    entries.filter(({ use }) => use === X509_USE),
  );
  if (!x509.ok) return x509;
  return accept({
    trustDomain,
    x509: x509.value,
    jwt: jwt.value,
    ...(sequence !== undefined && { sequence }),
    ...(spiffe_refresh_hint !== undefined && { refreshHint: spiffe_refresh_hint }),
  });
}

function readX509(
  trustDomain: string,
  entries: readonly JsonObject[],
): Outcome<X509Bundle, BundleCode> {
  const authorities: Uint8Array[] = [];
  for (const [index, entry] of entries.entries()) {
    const read = readJwk(entry);
    // X509-SVID 6.2: what comes after the first certificate is ignored.
    const [text] = isJsonArray(entry.x5c) ? entry.x5c : [];
    if (read.kind === 'unknown' || text === undefined) continue;
    const der = typeof text === 'string' ? decodeBase64(text) : undefined;
    // RFC 7517 4.7: the two spellings of the key in one entry are of one key.
    if (read.kind === 'malformed' || der === undefined || !hasKey(der, read.key)) {
      const what = `X.509 key ${index} is malformed, or not the one in its certificate`;
      return refuse('BUNDLE_KEY_INVALID', `bundle of ${trustDomain}: ${what}`);
    }
    authorities.push(new Uint8Array(der));
  }
  return bundleFromCertificates(trustDomain, authorities);
}

function hasKey(der: Uint8Array, key: Parameters<typeof writeJwk>[0]): boolean {
  try {
    return new X509Certificate(der).publicKey.equals(key);
  } catch {
    return false;
  }
}

/** `null` when it is there and is none. */
function readSequence(value: JsonValue | undefined): bigint | undefined | null {
  if (value === undefined) return undefined;
  if (typeof value !== 'bigint' && !(typeof value === 'number' && Number.isInteger(value))) {
    return null;
  }
  const sequence = BigInt(value);
  return sequence >= 0n && sequence <= MAX_SEQUENCE ? sequence : null;
}

function isHint(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
