import type { RecordId, RecordKind } from '#custody/record.ts';
import { pathOf } from '#identity/spiffe-id.ts';
import type { AuditBook, AuditRecord } from './book.ts';
import type { AuditFinding } from './ledger-checks.ts';
import type { AuditSpan } from './spans.ts';

export interface SpanJoin {
  add(span: AuditSpan): void;
  /** When all spans are in. `until`, milliseconds: what is younger may still be on its way. */
  finish(until: number): {
    readonly findings: readonly AuditFinding[];
    readonly spans: number;
  };
}

/** What a process tells of by a span. Acknowledgements, joins and revocations make none. */
const TOLD: ReadonlySet<RecordKind> = new Set(['root', 'msg', 'tool.call', 'tool.result', 'act']);

/**
 * Compares what processes told with what they signed, in both directions. Whole traces are asked
 * for: where spans were dropped, a record without one says nothing.
 */
export function createSpanJoin(book: AuditBook, options: { readonly whole: boolean }): SpanJoin {
  const told = new Set<string>();
  const findings: AuditFinding[] = [];
  /** Named by a span, and not in the ledger: when the span ended. */
  const orphans = new Map<string, { readonly end: number; readonly name: string }>();
  let spans = 0;
  let since = Number.POSITIVE_INFINITY;

  function compare(span: AuditSpan, { id, claims }: AuditRecord): void {
    const { digest, seq, kind, subject } = span.told;
    const pairs: readonly [string, unknown, unknown][] = [
      ['digest', digest, claims.pdg],
      ['number', seq, claims.seq],
      ['kind', kind, claims.knd],
      ['subject', subject, claims.sbj],
    ];
    for (const [what, said, signed] of pairs) {
      if (said === undefined || said === signed) continue;
      const detail = `a span of ${pathOf(claims.iss)} tells another ${what} than the record has`;
      findings.push({ code: 'AUDIT_SPAN_DIFFERS', detail, id });
    }
  }

  return {
    add(span) {
      spans += 1;
      since = Math.min(since, span.start);
      for (const id of [span.record, span.answer]) {
        if (id === undefined) continue;
        const record = book.records.get(id as RecordId);
        if (record === undefined) {
          // What was refused need not be in the ledger: it may be a stranger's invention.
          if (!span.refused) orphans.set(id, { end: span.end, name: span.name });
          continue;
        }
        told.add(id);
        if (id === span.record) compare(span, record);
      }
    },
    finish(until) {
      for (const [id, { end, name }] of orphans) {
        if (end > until) continue;
        const detail = `'${name}' tells of a record that is not in the ledger`;
        findings.push({ code: 'AUDIT_RECORD_MISSING', detail, id: id as RecordId });
      }
      for (const { id, claims, at } of options.whole ? book.records.values() : []) {
        const traced = claims.iat * 1000 > since && at <= until;
        if (!traced || !TOLD.has(claims.knd) || told.has(id)) continue;
        const detail = `${pathOf(claims.iss)} told nothing of its ${claims.knd}`;
        findings.push({ code: 'AUDIT_SPAN_MISSING', detail, id });
      }
      return { findings, spans };
    },
  };
}
