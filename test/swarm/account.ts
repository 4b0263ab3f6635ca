import { fromBytes } from '#agents/json.ts';
import type { RunningSwarm } from '#cli/wiring/swarm.ts';
import { parseAck } from '#custody/ack.ts';
import type { LedgerEntry, RecordEntry } from '#custody/ledger/entry.ts';
import { audienceKey } from '#custody/record/audience.ts';

/** What a ledger says of the messages of one kind, by the application's own ids. */
export interface Account {
  /** Application id → how many records carry it: more than one when it was signed again. */
  readonly recorded: ReadonlyMap<string, number>;
  /** Application ids that a receiver acknowledged. */
  readonly acknowledged: ReadonlySet<string>;
}

export interface ApplicationMessage {
  readonly id: string;
  readonly type: string;
  readonly [more: string]: unknown;
}

export function payloadOf(entry: LedgerEntry): ApplicationMessage | undefined {
  if (entry.type !== 'record' || entry.payload === undefined) return undefined;
  const value = fromBytes(entry.payload);
  return typeof value === 'object' && value !== null && 'id' in value
    ? (value as ApplicationMessage)
    : undefined;
}

export function isMessage(entry: LedgerEntry, subject: string): entry is RecordEntry {
  return entry.type === 'record' && entry.record.claims.sbj === subject;
}

export function isRecord(entry: LedgerEntry, id: string): entry is RecordEntry {
  return entry.type === 'record' && entry.record.id === id;
}

export function entriesOf(running: RunningSwarm): readonly LedgerEntry[] {
  return running.ledger.list({ limit: Number.MAX_SAFE_INTEGER });
}

/**
 * Who was told of what, from signed acknowledgements alone: a session's highest `through`, without
 * all that it ever rejected.
 */
export function accountOf(entries: readonly LedgerEntry[], subject: string): Account {
  const recorded = new Map<string, number>();
  const sent = new Map<string, string>();
  const told = new Map<string, { of: string; through: number; rejected: Set<number> }>();
  for (const entry of entries) {
    if (entry.type !== 'record' || entry.payload === undefined) continue;
    const { claims } = entry.record;
    const id = isMessage(entry, subject) ? payloadOf(entry)?.id : undefined;
    if (id !== undefined) {
      recorded.set(id, (recorded.get(id) ?? 0) + 1);
      sent.set(`${claims.iss} ${claims.sid} ${audienceKey(claims.aud)} ${claims.rsq}`, id);
    }
    if (claims.knd !== 'ack') continue;
    const ack = parseAck(entry.payload);
    if (!ack.ok || ack.value.type !== 'ack') continue;
    const { to, sid, session, through, rejected = [] } = ack.value;
    const of = `${to} ${sid} ${audienceKey(ack.value.aud)}`;
    const key = `${claims.iss} ${session} ${of}`;
    const known = told.get(key) ?? { of, through: 0, rejected: new Set() };
    for (const rsq of rejected) known.rejected.add(rsq);
    told.set(key, { ...known, through: Math.max(known.through, through) });
  }
  const acknowledged = new Set<string>();
  for (const { of, through, rejected } of told.values()) {
    for (let rsq = 1; rsq <= through; rsq += 1) {
      const id = rejected.has(rsq) ? undefined : sent.get(`${of} ${rsq}`);
      if (id !== undefined) acknowledged.add(id);
    }
  }
  return { recorded, acknowledged };
}

/** Ids that appear on more than one entry; none may. */
export function repeated(entries: readonly LedgerEntry[]): readonly string[] {
  const seen = new Set<string>();
  return entries.flatMap((entry) => {
    if (entry.type !== 'record') return [];
    if (seen.has(entry.record.id)) return [entry.record.id];
    seen.add(entry.record.id);
    return [];
  });
}

/** The entry of the act that a finding about this reading led to, when it was answered with 200. */
export async function actedUpon(
  running: RunningSwarm,
  readingId: string,
): Promise<{ readonly finding: RecordEntry; readonly act: RecordEntry }> {
  const { ledger } = running;
  // A finding that was signed again is the same finding in another record.
  const isFinding = (entry: LedgerEntry | undefined): entry is RecordEntry =>
    entry !== undefined && payloadOf(entry)?.readingId === readingId;
  const act = (await ledger.entry(
    (entry) =>
      entry.type === 'record' &&
      entry.record.claims.knd === 'act' &&
      entry.record.claims.sbj.startsWith('svc.mcp.') &&
      ledger.parents(entry.record.id).some(isFinding),
  )) as RecordEntry;
  const finding = ledger.parents(act.record.id).find(isFinding);
  if (finding === undefined) throw new Error('an act without its finding');
  await ledger.entry(
    (entry) =>
      entry.type === 'record' &&
      entry.record.claims.knd === 'tool.result' &&
      entry.record.claims.par.includes(act.record.id) &&
      (fromBytes(entry.payload ?? new Uint8Array()) as { status?: number }).status === 200,
  );
  return { finding, act };
}
