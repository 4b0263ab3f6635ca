import { existsSync } from 'node:fs';
import type { Trust } from '#custody/evidence/trust.ts';
import type { EvidenceVerdict } from '#custody/evidence/verdict.ts';
import { verifyChunks } from '#custody/evidence/verify.ts';
import { type AuditBook, createAuditBook } from './book.ts';
import { createSpanJoin } from './join.ts';
import { type AuditFinding, checkLedger, unusedMessages } from './ledger-checks.ts';
import { spansOf } from './spans.ts';

export interface AuditInput {
  /** Evidence of a whole ledger, as lines. */
  readonly evidence: AsyncIterable<Uint8Array>;
  readonly trust: Trust;
  /** Absent: the ledger is judged alone. */
  readonly traces?: {
    /** OTLP, one request a line; a predecessor beside it, `.1`, is read as well. */
    readonly file: string;
    /** Spans that were never written: then a record without one says nothing. */
    readonly dropped: number;
  };
  /** Milliseconds since the epoch; absent: when the newest record of the evidence was taken. */
  readonly now?: number;
  /** What is younger than this, milliseconds, is still on its way and not judged. */
  readonly settleMs: number;
}

export interface AuditReport {
  /** What makes the ledger unproven by itself: signatures, certificates, places, causes. */
  readonly verdict: EvidenceVerdict;
  readonly findings: readonly AuditFinding[];
  readonly clean: boolean;
  /** Milliseconds since the epoch: up to when everything was judged. */
  readonly until: number;
  readonly spans: number;
  /** Lines of the traces' file that are no spans. */
  readonly broken: number;
  /** Spans that were dropped before they were written. */
  readonly dropped: number;
  /** Acknowledged messages that led to nothing; no fault, most readings show nothing. */
  readonly unused: number;
  readonly acknowledgements: number;
}

/** Judges a whole ledger as its readers would, and joins it with what its processes told. */
export async function audit(input: AuditInput): Promise<AuditReport> {
  const { trust, traces } = input;
  const book = createAuditBook();
  const verdict = await verifyChunks(input.evidence, trust, book.add);
  const until = (input.now ?? newest(book)) - input.settleMs;
  const scope = { until, members: trust.members ?? [] };
  const ledger = [...checkWhole(book), ...checkLedger(book, scope)];
  const dropped = traces?.dropped ?? 0;
  const join = createSpanJoin(book, { whole: dropped === 0 });
  let broken = 0;
  const files = traces === undefined ? [] : [`${traces.file}.1`, traces.file].filter(existsSync);
  for (const file of files) {
    for await (const span of spansOf(file, () => (broken += 1))) join.add(span);
  }
  const joined = files.length === 0 ? { findings: [], spans: 0 } : join.finish(until);
  const findings = [...ledger, ...joined.findings];
  return {
    verdict,
    findings,
    clean: verdict.overall === 'proven' && findings.length === 0,
    until,
    spans: joined.spans,
    broken,
    dropped,
    unused: unusedMessages(book),
    acknowledgements: book.acks.length,
  };
}

/** Of evidence that begins later, or is of an action, nobody can say what is missing. */
function checkWhole({ header }: AuditBook): readonly AuditFinding[] {
  const range = header?.range;
  if (header === undefined || range?.from === 0) return [];
  const what = range === undefined ? 'is of one action' : `begins with entry ${range.from}`;
  const detail = `the evidence ${what}: the whole ledger is exported by custody export --all`;
  return [{ code: 'AUDIT_NOT_WHOLE', detail }];
}

function newest({ records }: AuditBook): number {
  let last = 0;
  for (const { at } of records.values()) last = Math.max(last, at);
  return last;
}
