import { z } from 'zod';
import { parseSpiffeId, type SpiffeId } from '../spiffe-id.ts';

/**
 * Messages of the launcher link. The issuer trusts the descriptor (inherited at spawn) to be the
 * launcher's and still parses strictly: unknown members, long strings and odd numbers are refused.
 */
const text = z.string().max(4096);
const spiffeIdText = z.custom<SpiffeId>(
  (value) => typeof value === 'string' && parseSpiffeId(value).ok,
);
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

const selectors = z.array(z.strictObject({ type: text, value: text })).max(64);
const texts = z.array(text).max(32);
export const EntryFields = z.strictObject({
  id: z.string().max(255).optional(),
  spiffe_id: text,
  parent_id: text.optional(),
  selectors,
  x509_svid_ttl: count.optional(),
  jwt_svid_ttl: count.optional(),
  federates_with: texts.optional(),
  dns_names: texts.optional(),
  hint: text.optional(),
  expires_at: count.optional(),
  jwt_svid_include_jti: z.boolean().optional(),
});
const entries = z.array(EntryFields).max(20_000);

const mint = z.strictObject({
  spiffeId: text,
  /** SPKI, DER, base64. */
  publicKey: base64,
  /** Seconds. */
  ttl: count,
  dns: z.array(text).max(32).optional(),
  ip: z.array(text).max(32).optional(),
});

const joinToken = z.strictObject({
  /** Seconds. */
  ttl: count,
  /** Where nodes come in; `host:port`, when it is to change. */
  listen: text.optional(),
});
export type JoinTokenRequest = z.infer<typeof joinToken>;

const ref = { ref: count };
export const LinkRequest = z.discriminatedUnion('op', [
  attestation.extend({ op: z.literal('attest'), ...ref }),
  z.strictObject({ op: z.literal('exited'), ...ref, pid, startTime: count }),
  z.strictObject({ op: z.literal('entries'), ...ref, entries }),
  mint.extend({ op: z.literal('mint'), ...ref }),
  z.strictObject({ op: z.literal('bundle'), ...ref }),
  z.strictObject({ op: z.literal('list-entries'), ...ref, offset: count }),
  z.strictObject({ op: z.literal('add-entries'), ...ref, entries }),
  z.strictObject({ op: z.literal('remove-entry'), ...ref, id: text }),
  z.strictObject({ op: z.literal('issued'), ...ref, from: count }),
  z.strictObject({ op: z.literal('bundle-document'), ...ref }),
  joinToken.extend({ op: z.literal('join-token'), ...ref }),
  z.strictObject({ op: z.literal('list-nodes'), ...ref }),
  z.strictObject({ op: z.literal('evict-node'), ...ref, id: text }),
  z.strictObject({ op: z.literal('pending'), ...ref, after: count }),
  z.strictObject({ op: z.literal('acknowledge'), ...ref, upTo: count }),
  z.strictObject({ op: z.literal('authorities'), ...ref }),
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

/** One page; `total` of all pages. An issuer's own words, read with its own form. */
const storedEntry = z.strictObject({
  origin: z.enum(['file', 'added']),
  entry: z.strictObject({
    id: text,
    spiffe_id: spiffeIdText,
    parent_id: spiffeIdText,
    selectors,
    x509_svid_ttl: count,
    jwt_svid_ttl: count,
    federates_with: texts,
    dns_names: texts,
    hint: text,
    expires_at: count,
    jwt_svid_include_jti: z.boolean(),
    revision_number: count,
    created_at: count,
  }),
});
/** What a node is told of the entries under it. */
export const NodeEntries = z.array(storedEntry.shape.entry).max(50_000);
export const EntriesReply = z.strictObject({ entries: z.array(storedEntry), total: count });
export type EntriesReply = z.infer<typeof EntriesReply>;
const logRow = z.strictObject({ seq: count, previous: text, body: z.string(), hash: text });
/** Rows of the issuance log from the one asked for; `head` is the last that there is. */
export const IssuedReply = z.strictObject({
  rows: z.array(logRow),
  head: z.strictObject({ seq: count, hash: text }),
});
export type IssuedReply = z.infer<typeof IssuedReply>;
/** The SPIFFE bundle document. */
export const DocumentReply = z.strictObject({ trustDomain: text, document: z.string() });
export type DocumentReply = z.infer<typeof DocumentReply>;
/** Times in seconds since the epoch; `seenAt` since this issuer started. */
const joinedNode = z.strictObject({
  id: text,
  joinedAt: count,
  expiresAt: count,
  seenAt: count.optional(),
});
export const NodesReply = z.strictObject({ nodes: z.array(joinedNode) });
export type NodesReply = z.infer<typeof NodesReply>;
/** `token` is the secret itself: it goes to the operator and nowhere else. */
export const JoinTokenReply = z.strictObject({
  token: text,
  agentId: text,
  expiresAt: z.iso.datetime(),
  /** Where the node endpoint listens, `host:port`. */
  address: text,
});
export type JoinTokenReply = z.infer<typeof JoinTokenReply>;

/** Selectors without a bound: what a caller had is as long as its path, and the line is bounded. */
const issuance = z.strictObject({
  spiffe_id: spiffeIdText,
  serial: text,
  thumbprint: text,
  selectors: z.array(z.string()),
  entry_id: text,
  authority_id: text,
  issued_at: count,
  not_before: count,
  not_after: count,
});
/**
 * The next X.509 issuances of the outbox, oldest first. `upTo`: the last row that was looked at, of
 * whatever kind; the one asked after where there is no more.
 */
export const OutboxPage = z.strictObject({
  rows: z.array(z.strictObject({ seq: count, issuance: z.unknown() })),
  upTo: count,
});
export type OutboxPage = z.infer<typeof OutboxPage>;
/** As it was read, row by row. `unreadable`: rows without the form of an issuance. */
export interface PendingReply {
  readonly rows: { readonly seq: number; readonly issuance: z.infer<typeof issuance> }[];
  readonly unreadable: number[];
  readonly upTo: number;
}

/** One row that cannot be read must not keep those behind it from the ledger. */
export function readPending({ rows, upTo }: OutboxPage): PendingReply {
  const page: PendingReply = { rows: [], unreadable: [], upTo };
  for (const row of rows) {
    const read = issuance.safeParse(row.issuance);
    if (read.success) page.rows.push({ seq: row.seq, issuance: read.data });
    else page.unreadable.push(row.seq);
  }
  return page;
}
/** Times in seconds since the epoch. */
const authority = z.strictObject({
  id: text,
  use: z.enum(['x509', 'jwt']),
  state: word,
  not_before: count,
  not_after: count,
  /** base64url(SHA-256): of the certificate's DER; of a JWT key as RFC 7638 has it. */
  fingerprint: text,
  /** DER in base64; empty for a JWT authority. */
  certificate: base64,
});
/** Every key in the journals, in whatever state. */
export const AuthoritiesReply = z.strictObject({ authorities: z.array(authority) });
export type AuthoritiesReply = z.infer<typeof AuthoritiesReply>;

export const LinkEvent = z.discriminatedUnion('event', [
  z.strictObject({ event: z.literal('denied'), pid: z.number().int(), detail: z.string() }),
  z.strictObject({
    event: z.literal('issued'),
    spiffeId: text,
    serial: text,
    notAfter: z.iso.datetime(),
  }),
  /** There are rows in the outbox that were not there before. */
  z.strictObject({ event: z.literal('outbox') }),
  /** Registration entries were added, replaced or removed. */
  z.strictObject({ event: z.literal('entries') }),
  /** A key has entered another state, and so the bundle may have changed. */
  z.strictObject({ event: z.literal('authorities') }),
]);
export type LinkEvent = z.infer<typeof LinkEvent>;

export const LinkAnswer = z.discriminatedUnion('ok', [
  z.strictObject({ ref: count, ok: z.literal(true), value: z.unknown() }),
  z.strictObject({ ref: count, ok: z.literal(false), code: word, detail: z.string() }),
]);

const unreadableEvent = z.looseObject({ event: z.string() });
const unreadableAnswer = z.looseObject({ ref: count });

/** What of a message can be told although it has not the form of one. */
export const Unreadable = {
  event: (message: unknown): boolean => unreadableEvent.safeParse(message).success,
  /** The question that it answers. */
  ref: (message: unknown): number | undefined => unreadableAnswer.safeParse(message).data?.ref,
};

export function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** What reads one kind of reply. */
export interface ReplyParser<T> {
  safeParse(value: unknown): { success: true; data: T } | { success: false };
}
