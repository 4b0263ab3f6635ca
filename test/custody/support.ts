import { randomBytes, sign } from 'node:crypto';
import { encodeBase64Url } from '#custody/base64url.ts';
import { type CanonicalValue, canonicalText } from '#custody/canonical.ts';
import type { RecordCode } from '#custody/codes.ts';
import { decodeHeaders } from '#custody/headers.ts';
import { type CheckedRecord, checkRecord, type RecordFacts } from '#custody/record/check.ts';
import { headerText, parseRecord } from '#custody/record/parse.ts';
import { createRecordSigner, type RecordDraft } from '#custody/record/sign.ts';
import { createSvidCache, type SvidCache } from '#custody/svid-cache.ts';
import type { Outcome } from '#identity/outcome.ts';
import { type SpiffeId, spiffeId } from '#identity/spiffe-id.ts';
import type { X509Svid } from '#identity/svid.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';
import { bundleSet, createTestCa, type TestCa } from '#test/support/test-ca.ts';

export const TRUST_DOMAIN = 'city.example';
export const IDS = {
  sensor: spiffeId('spiffe://city.example/agent/sensor/north/cam-1'),
  analyzer: spiffeId('spiffe://city.example/agent/analyzer/north/analyzer-1'),
  action: spiffeId('spiffe://city.example/agent/action/north/action-1'),
  mcp: spiffeId('spiffe://city.example/service/mcp'),
  llm: spiffeId('spiffe://city.example/service/llm'),
} as const;
export type Name = keyof typeof IDS;

/** A clock that moves when the test says so. */
export function testClock(start = Date.now()) {
  let now = start;
  return Object.assign(() => now, {
    advance: (ms: number) => {
      now += ms;
    },
  });
}
export type TestClock = ReturnType<typeof testClock>;

export const text = (value: string): Uint8Array => Buffer.from(value, 'utf8');

/** One trust domain with five identities that sign. */
export async function createTestSwarm(options: { readonly clock?: TestClock } = {}) {
  const clock = options.clock ?? testClock();
  const ca: TestCa = await createTestCa(TRUST_DOMAIN);
  const bundles = bundleSet(ca);
  const verify = (chain: readonly Uint8Array[], at: Date) => verifyX509Svid(chain, bundles, at);
  const svids = new Map<Name, X509Svid>();
  // Valid by the test's clock, which stands still however long the test takes.
  const life = {
    notBefore: new Date(clock() - 10_000),
    notAfter: new Date(clock() + 3_600_000),
  };
  for (const [name, id] of Object.entries(IDS)) svids.set(name as Name, await ca.issue(id, life));
  const svid = (name: Name): X509Svid => {
    const found = svids.get(name);
    if (found === undefined) throw new Error(`no SVID for ${name}`);
    return found;
  };
  const signer = (name: Name) =>
    createRecordSigner({ source: () => svid(name), clock, random: randomBytes });
  return { ca, bundles, verify, clock, svid, signer };
}
export type TestSwarm = Awaited<ReturnType<typeof createTestSwarm>>;

/** An honest reading, from the sensor to the analyzers of its district. */
export function reading(payload = '{"speed":41}', more: Partial<RecordDraft> = {}): RecordDraft {
  return {
    aud: ['spiffe://city.example/agent/analyzer/north/*'],
    sbj: 'north.reading.sensor-cam-1',
    knd: 'root',
    payload: text(payload),
    ...more,
  };
}

/** Signs whatever it is given, as a dishonest holder of the key would. */
export function forgeJws(svid: X509Svid, claims: CanonicalValue | string, header?: string): string {
  const claimText = typeof claims === 'string' ? claims : canonicalText(claims);
  const input = [header ?? headerText(svid.thumbprint), claimText]
    .map((part) => Buffer.from(part, 'utf8').toString('base64url'))
    .join('.');
  const signature = sign('sha256', Buffer.from(input), {
    key: svid.key,
    dsaEncoding: 'ieee-p1363',
  });
  return `${input}.${encodeBase64Url(signature)}`;
}

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** The other signature that verifies for the same text: s → n − s. */
export function malleate(jws: string): string {
  const dot = jws.lastIndexOf('.');
  const signature = Buffer.from(jws.slice(dot + 1), 'base64url');
  const s = ORDER - BigInt(`0x${signature.subarray(32).toString('hex')}`);
  const other = Buffer.concat([
    signature.subarray(0, 32),
    Buffer.from(s.toString(16).padStart(64, '0'), 'hex'),
  ]);
  return `${jws.slice(0, dot)}.${other.toString('base64url')}`;
}

export interface Message {
  readonly headers: readonly (readonly [string, readonly string[]])[];
  readonly subject: string;
  readonly reply: string | null;
  readonly payload: Uint8Array;
}

/** What a door does with a message, in its order. */
export function receive(
  message: Message,
  self: SpiffeId,
  svids: SvidCache,
  facts: Omit<RecordFacts, 'svid'>,
): Outcome<CheckedRecord, RecordCode> {
  const headers = decodeHeaders(message.headers);
  if (!headers.ok) return headers;
  const record = parseRecord(headers.value.jws);
  if (!record.ok) return record;
  const { thumbprint } = record.value;
  const svid = svids.resolve(thumbprint, headers.value.chain, new Date(facts.now));
  if (!svid.ok) return svid;
  const { subject, reply, payload } = message;
  const { salt } = headers.value;
  return checkRecord(record.value, {
    ...facts,
    svid: svid.value,
    self,
    subject,
    reply,
    payload,
    salt,
  });
}

export { createSvidCache };
