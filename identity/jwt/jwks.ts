import type { KeyObject } from 'node:crypto';
import type { BundleCode } from '../codes.ts';
import { isJsonArray, isJsonObject, type JsonObject, readJson } from '../json.ts';
import { readJwk, writeJwk } from '../jwk.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { JwtBundle } from './bundle.ts';

/** Bounds for one JWK Set. */
const LIMITS = { maxBytes: 1024 * 1024 } as const;
const MAX_KEYS = 256;
const JWT_USE = 'jwt-svid';
/** As a Workload API answers: a standard JWK Set, in which SPIRE's agent leaves `use` out. */
const USES: ReadonlySet<unknown> = new Set([undefined, 'sig', JWT_USE]);

/**
 * The JWT bundle of one trust domain out of a JWK Set as `FetchJWTBundles` carries it (Workload API
 * 6.2.2). Keys of another use, and of kinds that sign no JWT-SVID, are passed over; an empty set
 * makes an empty bundle, under which no token is valid.
 */
export function jwtBundleFromJwks(
  trustDomain: string,
  bytes: Uint8Array,
): Outcome<JwtBundle, BundleCode> {
  const document = readJson(bytes, LIMITS);
  const entries = isJsonObject(document) ? readKeys(document) : undefined;
  if (entries === undefined) {
    return refuse('BUNDLE_MALFORMED', `JWT bundle of ${trustDomain}: not a JWK Set`);
  }
  return jwtBundleFrom(
    trustDomain,
    entries.filter(({ use }) => USES.has(use)),
  );
}

/** The array `keys` of a JWK Set, when it is one of objects and not beyond all measure. */
export function readKeys(document: JsonObject): readonly JsonObject[] | undefined {
  const { keys } = document;
  if (!isJsonArray(keys) || keys.length > MAX_KEYS) return undefined;
  const objects = keys.filter(isJsonObject);
  return objects.length === keys.length ? objects : undefined;
}

/** As `jwtBundleFromJwks`, from entries that are all for JWT-SVIDs. */
export function jwtBundleFrom(
  trustDomain: string,
  entries: readonly JsonObject[],
): Outcome<JwtBundle, BundleCode> {
  const keys = new Map<string, KeyObject>();
  for (const [index, entry] of entries.entries()) {
    const read = readJwk(entry);
    // Trust Domain and Bundle 4.2.1: what is not understood is passed over, not refused.
    if (read.kind === 'unknown') continue;
    const { kid } = entry;
    // One malformed key spoils the bundle: a silent gap would look like a revocation.
    if (read.kind === 'malformed') return invalid(trustDomain, `JWT key ${index} is malformed`);
    if (typeof kid !== 'string' || kid === '') {
      return invalid(trustDomain, `JWT key ${index} has no kid`);
    }
    if (keys.has(kid)) return invalid(trustDomain, `JWT key ${index} has the kid of another`);
    keys.set(kid, read.key);
  }
  return accept({ trustDomain, keys });
}

/** The entries of a JWK Set for these authorities, with the `use` and `kid` of JWT-SVID 6.1. */
export function jwtBundleToKeys(bundle: JwtBundle): readonly JsonObject[] {
  return [...bundle.keys].map(([kid, key]) => ({ ...writeJwk(key), use: JWT_USE, kid }));
}

/** A JWK Set as the Workload API carries it; it holds keys of no other use. */
export function jwtBundleToJwks(bundle: JwtBundle): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify({ keys: jwtBundleToKeys(bundle) }));
}

function invalid(trustDomain: string, what: string) {
  return refuse('BUNDLE_KEY_INVALID', `bundle of ${trustDomain}: ${what}`);
}
