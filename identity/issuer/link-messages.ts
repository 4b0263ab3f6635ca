import { z } from 'zod';

/**
 * Messages of the launcher link. The issuer trusts the descriptor (inherited at spawn) to be the
 * launcher's and still parses strictly: unknown members, long strings and odd numbers are refused.
 */
const text = z.string().max(4096);
const word = z.string().regex(/^[a-zA-Z0-9](?:[a-zA-Z0-9._/-]{0,126}[a-zA-Z0-9])?$/);
const decimal = z.string().regex(/^(?:0|[1-9][0-9]{0,19})$/);
const base64 = z
  .string()
  .max(16_384)
  .regex(/^[A-Za-z0-9+/]*={0,2}$/);
const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const pid = z.number().int().positive().max(0x7fffffff);

const attestation = z.strictObject({
  pid,
  startTime: count,
  exe: z.strictObject({ path: text, dev: decimal, ino: decimal }),
  uid: count.optional(),
  image: z.strictObject({
    name: word,
    digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
    signature: base64,
    keyId: z.union([z.literal(''), word]),
  }),
  workload: z.strictObject({ spiffeId: text, agentType: word, instance: word }),
  launcherSignature: base64,
});

const entry = z.strictObject({
  id: word.optional(),
  spiffe_id: text,
  parent_id: text.optional(),
  selectors: z.array(z.strictObject({ type: word, value: text })).max(64),
  x509_svid_ttl: count,
  dns_names: z.array(text).max(32).optional(),
  hint: text.optional(),
});

const mint = z.strictObject({
  spiffeId: text,
  /** SPKI, DER, base64. */
  publicKey: base64,
  /** Seconds. */
  ttl: count,
  dns: z.array(text).max(32).optional(),
  ip: z.array(text).max(32).optional(),
});

const ref = { ref: count };
export const LinkRequest = z.discriminatedUnion('op', [
  attestation.extend({ op: z.literal('attest'), ...ref }),
  z.strictObject({ op: z.literal('exited'), ...ref, pid, startTime: count }),
  z.strictObject({ op: z.literal('entries'), ...ref, entries: z.array(entry).max(20_000) }),
  mint.extend({ op: z.literal('mint'), ...ref }),
  z.strictObject({ op: z.literal('bundle'), ...ref }),
]);
export type LinkRequest = z.infer<typeof LinkRequest>;
export type MintRequest = z.infer<typeof mint>;

/** `chain`: DER, base64, leaf first; `notAfter`: ISO 8601. */
export const MintReply = z.strictObject({ chain: z.array(base64), notAfter: z.iso.datetime() });
export type MintReply = z.infer<typeof MintReply>;
/** DER certificates of the trust domain's authorities, base64. */
export const BundleReply = z.strictObject({ trustDomain: text, authorities: z.array(base64) });
export type BundleReply = z.infer<typeof BundleReply>;
export const NoReply = z.strictObject({});

export const LinkEvent = z.discriminatedUnion('event', [
  z.strictObject({ event: z.literal('denied'), pid: z.number().int(), detail: text }),
  z.strictObject({
    event: z.literal('issued'),
    spiffeId: text,
    serial: text,
    notAfter: z.iso.datetime(),
  }),
]);
export type LinkEvent = z.infer<typeof LinkEvent>;

export const LinkAnswer = z.discriminatedUnion('ok', [
  z.strictObject({ ref: count, ok: z.literal(true), value: z.unknown() }),
  z.strictObject({ ref: count, ok: z.literal(false), code: word, detail: text }),
]);

/** What reads one kind of reply. */
export interface ReplyParser<T> {
  safeParse(value: unknown): { success: true; data: T } | { success: false };
}
