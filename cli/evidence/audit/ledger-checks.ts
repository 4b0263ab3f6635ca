import { findingSchema } from '#agents/finding.ts';
import { fromBytes } from '#agents/json.ts';
import { isAnswerTo } from '#custody/parents.ts';
import { audienceIncludes, audienceKey } from '#custody/record/audience.ts';
import type { RecordClaims, RecordId } from '#custody/record.ts';
import { pathOf, type SpiffeId } from '#identity/spiffe-id.ts';
import type { AuditCode } from '../../codes.ts';
import type { AuditBook, AuditRecord } from './book.ts';

export interface AuditFinding {
  readonly code: AuditCode;
  /** One line; names come from signed records, and are IDs and numbers alone. */
  readonly detail: string;
  readonly id?: RecordId;
}

export interface AuditScope {
  /** Milliseconds: what the ledger took later is still on its way to its acknowledgement. */
  readonly until: number;
  /** Who could have received a message. */
  readonly members: readonly SpiffeId[];
}

/** What is missing or double in a ledger by itself. */
export function checkLedger(book: AuditBook, scope: AuditScope): readonly AuditFinding[] {
  return [
    ...book.equivocations.map(({ claims, other }) => ({
      code: 'AUDIT_EQUIVOCATION' as const,
      detail: `${pathOf(claims.iss)} signed ${claims.seq} twice`,
      id: other,
    })),
    ...checkSessions(book),
    ...checkAcks(book, scope),
    ...checkAnswers(book, scope),
    ...checkUse(book, scope),
  ];
}

/** Sessions are numbered from 1 without holes, per session and per receiver, each after the last. */
function checkSessions(book: AuditBook): AuditFinding[] {
  const sessions = Map.groupBy(
    book.records.values(),
    ({ claims }) => `${claims.iss} ${claims.sid}`,
  );
  const findings: AuditFinding[] = [];
  for (const records of sessions.values()) {
    const ordered = records.sort((a, b) => a.claims.seq - b.claims.seq);
    findings.push(...holesIn(ordered, 'AUDIT_SEQ_GAP', ({ claims }) => claims.seq, ''));
    for (const [index, { id, claims }] of ordered.entries()) {
      const before = ordered[index - 1];
      if (before?.claims.seq !== claims.seq - 1 || claims.prv === before.id) continue;
      const detail = `${pathOf(claims.iss)}: ${claims.seq} does not follow ${before.id}`;
      findings.push({ code: 'AUDIT_PRV_BROKEN', detail, id });
    }
    for (const [to, sent] of Map.groupBy(ordered, ({ claims }) => audienceKey(claims.aud))) {
      const name = to.split(' ').map(shortOf).join(', ');
      findings.push(...holesIn(sent, 'AUDIT_RSQ_GAP', ({ claims }) => claims.rsq, ` to ${name}`));
    }
  }
  return findings;
}

function shortOf(audience: string): string {
  return audience.split('/').slice(3).join('/');
}

/** Numbers that are missing below the highest; what came after the highest may be on its way. */
function holesIn(
  records: readonly AuditRecord[],
  code: 'AUDIT_SEQ_GAP' | 'AUDIT_RSQ_GAP',
  numberOf: (record: AuditRecord) => number,
  to: string,
): AuditFinding[] {
  let next = 1;
  return records.flatMap((record) => {
    const number = numberOf(record);
    const [first, last] = [next, number - 1];
    next = number + 1;
    if (first > last) return [];
    const which = first === last ? `${first} is` : `${first} to ${last} are`;
    const detail = `${pathOf(record.claims.iss)}${to}: ${which} missing before this one`;
    return [{ code, detail, id: record.id }];
  });
}

/** A message that is no request goes through a stream, and its receivers acknowledge it. */
function isStreamed({ claims }: AuditRecord): boolean {
  return (claims.knd === 'root' || claims.knd === 'msg') && claims.rpl === undefined;
}

/** What a sender counts `rsq` for: a session to an audience. Under another, the numbers are of other messages. */
function counterOf({ iss, sid, aud }: Pick<RecordClaims, 'iss' | 'sid' | 'aud'>): string {
  return `${iss} ${sid} ${audienceKey(aud)}`;
}

function checkAcks(book: AuditBook, { until, members }: AuditScope): AuditFinding[] {
  /** Acker, sender, session and audience → how far it acknowledged. */
  const through = new Map<string, number>();
  const sent = new Set<string>();
  for (const { claims } of book.records.values()) sent.add(`${counterOf(claims)} ${claims.rsq}`);
  const findings: AuditFinding[] = [];
  for (const { record, ack } of book.acks) {
    const acker = record.claims.iss;
    const counter = counterOf({ ...ack, iss: ack.to });
    const key = `${acker} ${counter}`;
    through.set(key, Math.max(through.get(key) ?? 0, ack.through));
    if (sent.has(`${counter} ${ack.through}`)) continue;
    const detail = `${pathOf(acker)} acknowledged ${ack.through} of ${pathOf(ack.to)}`;
    findings.push({ code: 'AUDIT_ACKNOWLEDGED_UNRECORDED', detail, id: record.id });
  }
  // What acknowledgements say may be withheld: then nothing is known of any.
  if (book.unread > 0) return findings;
  for (const record of book.records.values()) {
    if (!isStreamed(record) || record.at > until) continue;
    const { iss, rsq, aud } = record.claims;
    const counter = counterOf(record.claims);
    const silent = members
      .filter((member) => audienceIncludes(aud, member))
      .filter((member) => (through.get(`${member} ${counter}`) ?? 0) < rsq);
    for (const member of silent) {
      const detail = `${pathOf(member)} has not acknowledged ${rsq} of ${pathOf(iss)}`;
      findings.push({ code: 'AUDIT_NOT_ACKNOWLEDGED', detail, id: record.id });
    }
  }
  return findings;
}

function checkAnswers(book: AuditBook, { until }: AuditScope): AuditFinding[] {
  const refused = new Set(book.refusals.map(({ record }) => record));
  return [...book.records.values()].flatMap((record) => {
    const { id, claims, at } = record;
    if (claims.rpl === undefined) return [];
    const results = (book.effects.get(id) ?? []).filter(
      (effect) => effect.claims.knd === 'tool.result' && effect.claims.aud.includes(claims.iss),
    );
    const foreign = results.filter((result) => !isAnswerTo(claims, result.claims));
    const to = claims.aud.map(shortOf).join(', ');
    const findings: AuditFinding[] = foreign.map((result) => ({
      code: 'AUDIT_ANSWER_FOREIGN',
      detail: `${pathOf(result.claims.iss)} answered what ${pathOf(claims.iss)} asked of ${to}`,
      id: result.id,
    }));
    if (results.length > foreign.length || at > until || refused.has(id)) return findings;
    const detail = `${pathOf(claims.iss)} got no answer from ${to} to its ${claims.knd}`;
    return [...findings, { code: 'AUDIT_UNANSWERED' as const, detail, id }];
  });
}

/**
 * A finding that proposes something owes an act. Readings owe nothing: most show nothing. Of two
 * findings with one id the second is a repetition.
 */
function checkUse(book: AuditBook, { until }: AuditScope): AuditFinding[] {
  const proposals = [...book.records.values()].flatMap((record) => {
    if (record.claims.knd !== 'msg' || record.payload === undefined) return [];
    const finding = findingSchema.safeParse(fromBytes(record.payload)).data;
    const name = `${record.claims.iss} ${finding?.id}`;
    return finding === undefined || finding.proposal === null ? [] : [{ record, name }];
  });
  return [...Map.groupBy(proposals, ({ name }) => name).values()].flatMap((alike) => {
    const used = alike.some(({ record }) => (book.effects.get(record.id) ?? []).length > 0);
    const [first] = alike;
    if (used || first === undefined || first.record.at > until) return [];
    const { id, claims } = first.record;
    const detail = `nobody acted on what ${pathOf(claims.iss)} proposed`;
    return [{ code: 'AUDIT_UNUSED' as const, detail, id }];
  });
}

/** Messages that were acknowledged and led to nothing: told, and no fault. */
export function unusedMessages(book: AuditBook): number {
  return [...book.records.values()].filter(
    (record) => isStreamed(record) && !book.effects.has(record.id),
  ).length;
}
