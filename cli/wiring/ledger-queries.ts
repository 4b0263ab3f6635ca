import { z } from 'zod';
import { type BusRequest, type BusResponse, parseRequest } from '#bus/http-message.ts';
import { encodeEntry, type LedgerEntry } from '#custody/ledger/entry.ts';
import type { LedgerQueries } from '#custody/ledger/queries.ts';
import { RECORD_KINDS, type RecordId } from '#custody/record.ts';
import type { EvidenceRecord } from '#custody/verify.ts';
import { type SpiffeId, trustDomainOf } from '#identity/spiffe-id.ts';
import type { Policy } from '#policy/decision.ts';

/** What may be asked of a ledger: one POST a question, the answer as JSON. */
const id = z.string().regex(/^[A-Za-z0-9_-]{1,43}$/);
const QUESTIONS = {
  '/list': z.strictObject({
    since: z.int().nonnegative().default(0),
    kind: z.enum(RECORD_KINDS).optional(),
    limit: z.int().min(1).max(500).default(200),
  }),
  '/find': z.strictObject({ prefix: id }),
  '/ancestry': z.strictObject({ id, since: z.int().nonnegative().default(0) }),
  '/counts': z.strictObject({}),
} as const;
export type LedgerPath = keyof typeof QUESTIONS;

/** A page stays below what one message carries, payload escaped twice. */
const PAGE_BYTES = 160 * 1024;

const answer = (status: number, body: unknown): BusResponse => ({
  status,
  contentType: 'application/json',
  body: JSON.stringify(body),
});

/** One entry as it is stored: the text whose bytes are the ledger's leaf. */
const textOf = (entry: LedgerEntry): string => Buffer.from(encodeEntry(entry)).toString('utf8');

/** As many as fit into one answer, at least one. */
function page<T>(items: readonly T[], size: (item: T) => number): readonly T[] {
  let bytes = 0;
  const end = items.findIndex((item, index) => {
    bytes += size(item);
    return index > 0 && bytes > PAGE_BYTES;
  });
  return end === -1 ? items : items.slice(0, end);
}

/** Evidence in JSON: bytes as base64. */
export interface EvidenceJson {
  readonly id: string;
  readonly jws: string;
  readonly salt: string;
  readonly payload?: string;
  readonly chain: readonly string[];
  readonly at?: number;
}

function evidenceJson(one: EvidenceRecord): EvidenceJson {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return {
    id: one.id,
    jws: one.jws,
    salt: base64(one.salt),
    ...(one.payload !== undefined && { payload: base64(one.payload) }),
    chain: one.chain.map(base64),
    ...(one.at !== undefined && { at: one.at }),
  };
}

export function evidenceFrom(json: EvidenceJson): EvidenceRecord {
  const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));
  return {
    id: json.id as RecordId,
    jws: json.jws,
    salt: bytes(json.salt),
    ...(json.payload !== undefined && { payload: bytes(json.payload) }),
    chain: json.chain.map(bytes),
    ...(json.at !== undefined && { at: json.at }),
  };
}

/** Answers one verified question; policy decides who may ask. */
export function answerLedgerQuery(
  ledger: LedgerQueries,
  policy: Policy,
  asker: { readonly id: SpiffeId; readonly kind: 'agent' | 'service' | 'platform' },
  payload: Uint8Array,
): BusResponse {
  const decision = policy.decide({
    subject: {
      type: asker.kind,
      id: asker.id,
      properties: { trust_domain: trustDomainOf(asker.id) },
    },
    action: { name: 'ledger/query', properties: {} },
    resource: { type: 'service', id: 'ledger', properties: { service: 'ledger' } },
    context: {},
  });
  if (!decision.allow) return answer(403, { error: { code: 'LEDGER_NOT_ALLOWED' } });
  const request = parseRequest(payload);
  if (!request.ok) return answer(400, { error: { code: request.code } });
  return perform(ledger, request.value);
}

function perform(ledger: LedgerQueries, request: BusRequest): BusResponse {
  const ask = <P extends LedgerPath>(path: P): z.output<(typeof QUESTIONS)[P]> | undefined => {
    try {
      return QUESTIONS[path].parse(JSON.parse(request.body)) as z.output<(typeof QUESTIONS)[P]>;
    } catch {
      return undefined;
    }
  };
  const malformed = answer(400, { error: { code: 'QUESTION_MALFORMED' } });
  switch (request.path) {
    case '/list': {
      const question = ask('/list');
      if (question === undefined) return malformed;
      const { since, limit, kind } = question;
      const found = ledger.list({ since, limit, ...(kind !== undefined && { kind }) });
      const entries = page(found.map(textOf), (text) => text.length);
      const last = found[entries.length - 1]?.index;
      const next = last === undefined ? ledger.size : last + 1;
      return answer(200, { entries, next, size: ledger.size });
    }
    case '/find': {
      const question = ask('/find');
      if (question === undefined) return malformed;
      return answer(200, { entries: ledger.find(question.prefix).map(textOf) });
    }
    case '/ancestry': {
      const question = ask('/ancestry');
      if (question === undefined) return malformed;
      const all = ledger.ancestry(question.id as RecordId);
      const rest = all.slice(question.since).map(evidenceJson);
      const records = page(rest, (one) => JSON.stringify(one).length);
      return answer(200, { records, next: question.since + records.length, total: all.length });
    }
    case '/counts':
      return answer(200, ledger.counts());
    default:
      return answer(404, { error: { code: 'QUESTION_UNKNOWN' } });
  }
}
