import { inert } from '#agents/text.ts';
import { parseAck, type RefusalPayload } from '#custody/ack.ts';
import type { LedgerEntry, RecordEntry } from '#custody/ledger/entry.ts';
import { RECORD_KINDS } from '#custody/record.ts';
import { pathOf } from '#identity/spiffe-id.ts';
import { readAnswer } from './payload.ts';
import { tellStatement } from './statements.ts';
import { type Telling, tell } from './tell.ts';

/** What `--kind` takes: the kinds of records, and what is told by their content. */
export const ENTRY_KINDS = [
  ...RECORD_KINDS,
  'refusal',
  'denial',
  'equivocation',
  'statement',
] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

/** A refusal at a door, a gate, the Workload API (an `ack` record), or by the ledger itself. */
export function refusalOf(entry: LedgerEntry): RefusalPayload | undefined {
  if (entry.type === 'refusal') return entry.refusal;
  if (entry.type !== 'record' || entry.record.claims.knd !== 'ack') return undefined;
  const ack = entry.payload === undefined ? undefined : parseAck(entry.payload);
  return ack?.ok && ack.value.type === 'refusal' ? ack.value : undefined;
}

/** A service's signed answer that policy did not allow what was asked. */
export function isDenial(entry: LedgerEntry): entry is RecordEntry {
  if (entry.type !== 'record' || entry.record.claims.knd !== 'tool.result') return false;
  return entry.payload !== undefined && readAnswer(entry.payload)?.decision?.allow === false;
}

/** An order of an agent to the tool server; what the tool server then orders is not one. */
export function isAgentAct(entry: LedgerEntry): entry is RecordEntry {
  if (entry.type !== 'record' || entry.record.claims.knd !== 'act') return false;
  const { iss, sbj } = entry.record.claims;
  return sbj.startsWith('svc.mcp.') && pathOf(iss).startsWith('/agent/');
}

export function isKind(entry: LedgerEntry, kind: EntryKind): boolean {
  if (kind === 'refusal') return refusalOf(entry) !== undefined;
  if (kind === 'denial') return isDenial(entry);
  if (kind === 'equivocation' || kind === 'statement') return entry.type === kind;
  return entry.type === 'record' && entry.record.claims.knd === kind;
}

/** How a person names an entry: the start of the record's id, or `@index` where there is none. */
export function entryName(entry: LedgerEntry, length = 8): string {
  return 'record' in entry ? entry.record.id.slice(0, length) : `@${entry.index}`;
}

export function tellEntry(entry: LedgerEntry): Telling {
  if (entry.type === 'refusal') {
    const { code, presented_by: by, count } = entry.refusal;
    const text = `${code} by ${by}${count > 1 ? `, ${count} times` : ''}`;
    return { what: 'refusal', text: inert(text, 300) };
  }
  if (entry.type === 'statement') return tellStatement(entry.note);
  if (entry.type === 'equivocation') {
    return { what: 'equivocation', text: `seq ${entry.record.claims.seq} signed twice` };
  }
  return tell(entry.record.claims, entry.payload);
}
