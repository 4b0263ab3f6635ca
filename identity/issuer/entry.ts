import { createHash } from 'node:crypto';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { parseSpiffeId, pathOf, type SpiffeId, trustDomainOf } from '../spiffe-id.ts';

/** A property of a caller that an attestor found, in SPIRE's notation `type:value`. */
export interface Selector {
  readonly type: string;
  readonly value: string;
}

/** A registration entry as it is handed in; names of `spire.api.types.Entry`. */
export interface EntryInput {
  readonly id?: string | undefined;
  readonly spiffe_id: string;
  readonly parent_id?: string | undefined;
  readonly selectors: readonly Selector[];
  /** Seconds. */
  readonly x509_svid_ttl: number;
  readonly dns_names?: readonly string[] | undefined;
  readonly hint?: string | undefined;
}

/** A stored registration entry: who has all of `selectors` gets `spiffe_id`. */
export interface RegistrationEntry {
  readonly id: string;
  readonly spiffe_id: SpiffeId;
  readonly parent_id: string;
  readonly selectors: readonly Selector[];
  readonly x509_svid_ttl: number;
  readonly dns_names: readonly string[];
  readonly hint: string;
  /** Bumped on each change of the entry. */
  readonly revision_number: number;
  /** Seconds since the epoch. */
  readonly created_at: number;
}

/** Below this, renewal at half-life would leave no time for a reconnect. */
export const MIN_TTL_SECONDS = 10;
export const MAX_TTL_SECONDS = 24 * 3600;
const DNS_NAME =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

export function isDnsName(text: string): boolean {
  return DNS_NAME.test(text);
}

export function selectorText(selector: Selector): string {
  return `${selector.type}:${selector.value}`;
}

/** SPIRE's identity of an entry: the same ID, parent and selectors are the same entry. */
function derivedId(spiffeId: string, parent: string, selectors: readonly Selector[]): string {
  const key = JSON.stringify([spiffeId, parent, selectors.map(selectorText).sort()]);
  return createHash('sha256').update(key).digest('hex').slice(0, 32);
}

/** Checks one entry against SPIRE's rules; the caller sets `revision_number` and `created_at`. */
export function parseEntry(
  input: EntryInput,
  trustDomain: string,
  now: Date,
): Outcome<RegistrationEntry, 'ENTRY_INVALID'> {
  const bad = (why: string) => refuse('ENTRY_INVALID', `entry ${input.spiffe_id}: ${why}`);
  const id = parseSpiffeId(input.spiffe_id);
  if (!id.ok) return bad(id.detail);
  if (trustDomainOf(id.value) !== trustDomain) return bad(`not in trust domain ${trustDomain}`);
  // a leaf has a path. SPIRE keeps /spire/ for its own parts.
  if (pathOf(id.value) === '') return bad('a workload needs a path');
  if (pathOf(id.value).startsWith('/spire/')) return bad('the path prefix /spire/ is reserved');
  if (input.selectors.length === 0) return bad('the selector list is empty');
  if (input.selectors.some((one) => one.type === '' || one.value === '')) {
    return bad('a selector needs a type and a value');
  }
  const ttl = input.x509_svid_ttl;
  if (!Number.isInteger(ttl) || ttl < MIN_TTL_SECONDS || ttl > MAX_TTL_SECONDS) {
    return bad(`x509_svid_ttl is ${MIN_TTL_SECONDS} to ${MAX_TTL_SECONDS} seconds`);
  }
  const dns = input.dns_names ?? [];
  if (!dns.every(isDnsName)) return bad('a DNS name is not well-formed');
  // a hint has at most 1,024 bytes.
  if (Buffer.byteLength(input.hint ?? '') > 1024) return bad('the hint exceeds 1024 bytes');
  const parent = input.parent_id ?? `spiffe://${trustDomain}/spire/server`;
  return accept({
    id: input.id ?? derivedId(id.value, parent, input.selectors),
    spiffe_id: id.value,
    parent_id: parent,
    selectors: input.selectors.map(({ type, value }) => ({ type, value })),
    x509_svid_ttl: ttl,
    dns_names: [...dns],
    hint: input.hint ?? '',
    revision_number: 0,
    created_at: Math.floor(now.getTime() / 1000),
  });
}

/**
 * The entries whose selectors are all among the caller's (SPIRE's subset match), oldest first, so
 * that the default identity is stable. Of two with one hint the older one wins.
 */
export function matchEntries(
  entries: readonly RegistrationEntry[],
  selectors: readonly Selector[],
): readonly RegistrationEntry[] {
  const have = new Set(selectors.map(selectorText));
  const matching = entries
    .filter((entry) => entry.selectors.every((one) => have.has(selectorText(one))))
    .sort((a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1));
  const hints = new Set<string>();
  return matching.filter((entry) => {
    if (entry.hint === '') return true;
    if (hints.has(entry.hint)) return false;
    hints.add(entry.hint);
    return true;
  });
}
