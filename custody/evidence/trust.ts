import { X509Certificate } from 'node:crypto';
import { bundleFromCertificates } from '#identity/bundle.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { parseSpiffeId, type SpiffeId } from '#identity/spiffe-id.ts';
import type { BundleSet } from '#identity/svid.ts';
import { decodeBase64, encodeBase64 } from '../base64url.ts';
import { repeatsMember } from '../json-members.ts';
import type { LogPolicy } from '../log/checkpoint.ts';
import { parseVerifierKey, publicKeyOf, type VerifierKey } from '../log/keys.ts';
import { policyFault, type Rollover } from '../log/rollover.ts';
import type { EvidenceCode } from './codes.ts';

/** A root certificate and when it was in force, seconds since the epoch; open where absent. */
export interface TrustedRoot {
  readonly trustDomain: string;
  readonly certificate: Uint8Array;
  readonly from?: number;
  readonly until?: number;
}

/** Whose signature shows that a certificate was issued; see `statement.ts`. */
export interface IssuanceTrust {
  readonly keys: readonly VerifierKey[];
  /** How many of the keys must have signed. */
  readonly required: number;
  /** Identities from before there was a log to enter them in. */
  readonly bootstrap: readonly SpiffeId[];
}

/** The keys with which a log began. */
export interface PinnedLog extends LogPolicy {
  /**
   * Keys that took their places, ascending by the size of the log from which on they are in force.
   * Those before them are believed for smaller trees alone: a change that nobody shows would
   * otherwise leave its thief the keys that were given up.
   */
  readonly changes?: readonly Rollover[];
}

/** All that a reader believes, pinned outside the evidence. */
export interface Trust {
  readonly roots: readonly TrustedRoot[];
  readonly log: PinnedLog;
  /** When given, certificates that the ledger does not show as issued are not verifiable. */
  readonly issuance?: IssuanceTrust;
  /** When given, records by anybody else are not verifiable as the swarm's. */
  readonly members?: readonly SpiffeId[];
}

export const TRUST_TYPE = 'custody-trust';
const VERSION = 1;
const MAX_CHARACTERS = 1_048_576;

/** The trust file: JSON for people to read and keep, so spaces are allowed. */
export function formatTrust({ roots, log, issuance, members }: Trust): string {
  const json = {
    v: VERSION,
    type: TRUST_TYPE,
    roots: roots.map(({ certificate, ...root }) => ({
      ...root,
      fingerprint: new X509Certificate(certificate).fingerprint256,
      certificate: encodeBase64(certificate),
    })),
    log: {
      origin: log.origin,
      ...keysJson(log),
      ...(log.changes !== undefined && {
        changes: log.changes.map(({ from, policy }) => ({ from, ...keysJson(policy) })),
      }),
    },
    ...(issuance !== undefined && {
      issuance: { ...issuance, keys: issuance.keys.map(({ vkey }) => vkey) },
    }),
    ...(members !== undefined && { members }),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

function keysJson({ log, witnesses, quorum }: LogPolicy) {
  return {
    keys: log.map(({ vkey }) => vkey),
    witnesses: witnesses.map(({ vkey }) => vkey),
    quorum,
  };
}

class Invalid extends Error {}
type Fields = Record<string, unknown>;

/** Reads a trust file. It is the reader's own, so its mistakes are named, not its attacks. */
export function parseTrust(text: string): Outcome<Trust, EvidenceCode> {
  if (text.length > MAX_CHARACTERS) {
    return refuse('TRUST_INVALID', `a trust file has at most ${MAX_CHARACTERS} characters`);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (repeatsMember(text, value)) throw new Invalid('a member stands twice in one object');
    return accept(readTrust(value));
  } catch (error) {
    const detail = error instanceof Invalid ? error.message : 'the trust file is not JSON';
    return refuse('TRUST_INVALID', detail);
  }
}

function fieldsOf(value: unknown, name: string, members: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Invalid(`${name} is not an object`);
  }
  const unknown = Object.keys(value).find((member) => !members.includes(member));
  if (unknown !== undefined) throw new Invalid(`${name}: a member is not known`);
  return value as Fields;
}

function listOf<T>(value: unknown, name: string, read: (item: unknown) => T): readonly T[] {
  if (!Array.isArray(value)) throw new Invalid(`${name} is not a list`);
  return value.map(read);
}

function textOf(value: unknown, name: string): string {
  if (typeof value !== 'string') throw new Invalid(`${name} is not a text`);
  return value;
}

function numberOf(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new Invalid(`${name} is not a whole number`);
  }
  return value as number;
}

const keyOf = (name: string) => (value: unknown) => {
  const key = parseVerifierKey(textOf(value, name));
  if (!key.ok) throw new Invalid(`${name}: ${key.detail}`);
  return key.value;
};
const idOf = (name: string) => (value: unknown) => {
  const id = parseSpiffeId(textOf(value, name));
  if (!id.ok) throw new Invalid(`${name}: ${id.detail}`);
  return id.value;
};

function readTrust(value: unknown): Trust {
  const fields = fieldsOf(value, 'the file', ['v', 'type', 'roots', 'log', 'issuance', 'members']);
  if (fields.type !== TRUST_TYPE || fields.v !== VERSION) {
    throw new Invalid(`the file is not ${TRUST_TYPE} of version ${VERSION}`);
  }
  const roots = listOf(fields.roots, 'roots', readRoot);
  if (roots.length === 0) throw new Invalid('there is no root');
  const trust = { roots, log: readLog(fields.log) };
  return {
    ...trust,
    ...(fields.issuance !== undefined && { issuance: readIssuance(fields.issuance, trust.log) }),
    ...(fields.members !== undefined && {
      members: listOf(fields.members, 'members', idOf('members')),
    }),
  };
}

function readRoot(value: unknown): TrustedRoot {
  const members = ['trustDomain', 'certificate', 'fingerprint', 'from', 'until'];
  const { trustDomain, certificate, fingerprint, from, until } = fieldsOf(value, 'roots', members);
  const der = decodeBase64(textOf(certificate, 'certificate'));
  const domain = textOf(trustDomain, 'trustDomain');
  const bundle = der && bundleFromCertificates(domain, [der]);
  const library = bundle?.ok ? bundle.value.authorities[0] : undefined;
  if (der === undefined || library === undefined) throw new Invalid('a root is not a certificate');
  if (fingerprint !== undefined && fingerprint !== library.fingerprint256) {
    throw new Invalid('a root does not have the fingerprint that stands beside it');
  }
  return {
    trustDomain: domain,
    certificate: der,
    ...(from !== undefined && { from: numberOf(from, 'from') }),
    ...(until !== undefined && { until: numberOf(until, 'until') }),
  };
}

function readLog(value: unknown): PinnedLog {
  const fields = fieldsOf(value, 'log', ['origin', ...KEYS, 'changes']);
  const origin = textOf(fields.origin, 'origin');
  const policy = readPolicy(fields, origin);
  if (fields.changes === undefined) return policy;
  let last = 0;
  const changes = listOf(fields.changes, 'changes', (item) => {
    const change = fieldsOf(item, 'changes', ['from', ...KEYS]);
    const from = numberOf(change.from, 'from');
    if (from <= last) throw new Invalid('changes: a change is not after the one before it');
    last = from;
    return { from, policy: readPolicy(change, origin) };
  });
  return { ...policy, changes };
}

const KEYS = ['keys', 'witnesses', 'quorum'] as const;

function readPolicy(fields: Fields, origin: string): LogPolicy {
  const policy = {
    origin,
    log: listOf(fields.keys, 'keys', keyOf('keys')),
    witnesses: listOf(fields.witnesses, 'witnesses', keyOf('witnesses')),
    quorum: numberOf(fields.quorum, 'quorum'),
  };
  const fault = policyFault(policy);
  if (fault !== undefined) throw new Invalid(`log: ${fault}`);
  return policy;
}

function logKeys({ changes = [], ...first }: PinnedLog): readonly VerifierKey[] {
  const policies = [first, ...changes.map(({ policy }) => policy)];
  return policies.flatMap(({ log, witnesses }) => [...log, ...witnesses]);
}

function readIssuance(value: unknown, log: PinnedLog): IssuanceTrust {
  const fields = fieldsOf(value, 'issuance', ['keys', 'required', 'bootstrap']);
  const keys = listOf(fields.keys, 'issuance keys', keyOf('issuance keys'));
  if (keys.some(({ use }) => use !== 'note')) {
    throw new Invalid('issuance: a key is one for cosignatures');
  }
  const holders = new Set(keys.map(publicKeyOf));
  if (holders.size !== keys.length) throw new Invalid('issuance: one key appears twice');
  // Who keeps the log, or watches it, would vouch for what stands in it.
  if (logKeys(log).some((key) => holders.has(publicKeyOf(key)))) {
    throw new Invalid('issuance: a key is also one of the log or of a witness');
  }
  const required = numberOf(fields.required, 'required');
  if (required < 1 || required > keys.length) {
    throw new Invalid('issuance: required is not between one and the number of keys');
  }
  return { keys, required, bootstrap: listOf(fields.bootstrap, 'bootstrap', idOf('bootstrap')) };
}

/** The roots in force at a time (seconds), as `verifyX509Svid` takes them. */
export function bundlesAt(roots: readonly TrustedRoot[], at: number): BundleSet {
  const domains = new Map<string, X509Certificate[]>();
  for (const { trustDomain, certificate, from, until } of roots) {
    // A domain stays known when its roots have ended: then it is "not trusted", not "not known".
    const authorities = domains.get(trustDomain) ?? [];
    domains.set(trustDomain, authorities);
    if ((from ?? 0) <= at && at <= (until ?? Number.POSITIVE_INFINITY)) {
      authorities.push(new X509Certificate(certificate));
    }
  }
  return new Map(
    [...domains].map(([trustDomain, authorities]) => [trustDomain, { trustDomain, authorities }]),
  );
}

/** The times at which the set of roots changes, ascending: between two, one answer holds. */
export function rootChanges(roots: readonly TrustedRoot[]): readonly number[] {
  const times = roots.flatMap(({ from, until }) => [
    ...(from === undefined ? [] : [from]),
    ...(until === undefined ? [] : [until + 1]),
  ]);
  return [...new Set(times)].sort((a, b) => a - b);
}
