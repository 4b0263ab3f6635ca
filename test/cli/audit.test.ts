import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { audit } from '#cli/evidence/audit/audit.ts';
import { createAuditBook } from '#cli/evidence/audit/book.ts';
import { createSpanJoin } from '#cli/evidence/audit/join.ts';
import { checkLedger } from '#cli/evidence/audit/ledger-checks.ts';
import { auditLines } from '#cli/evidence/audit/lines.ts';
import type { AuditSpan } from '#cli/evidence/audit/spans.ts';
import { type EvidencePart, formatEvidenceLine } from '#custody/evidence/format.ts';
import { parseTrust } from '#custody/evidence/trust.ts';
import { parseRecord } from '#custody/record/parse.ts';
import type { SignedRecord } from '#custody/record.ts';
import { forgeJws, IDS } from '#test/custody/support.ts';
import { createAuditedCity } from './audited-city.ts';
import { CONTROLS, folder } from './support.ts';
import type { WitnessedCity } from './witnessed-city.ts';

const place = folder();
let city: WitnessedCity;
let read: SignedRecord;
let second: SignedRecord;
let found: SignedRecord;
let act: SignedRecord;
let answer: SignedRecord;
let parts: readonly EvidencePart[];
const LATER = Number.MAX_SAFE_INTEGER;

beforeAll(async () => {
  ({ city, read, second, found, act, answer, parts } = await createAuditedCity());
});
afterAll(() => place.remove());

const isOf = (part: EvidencePart, record: SignedRecord): boolean =>
  part.kind === 'entry' && part.entry.id === record.id;
const without = (...records: readonly SignedRecord[]) =>
  parts.filter((part) => !records.some((record) => isOf(part, record)));
function isAck(part: EvidencePart): boolean {
  if (part.kind !== 'entry' || !('jws' in part.entry.leaf)) return false;
  const record = parseRecord(part.entry.leaf.jws);
  return record.ok && record.value.claims.knd === 'ack';
}
function bookOf(some: readonly EvidencePart[]) {
  const book = createAuditBook();
  for (const part of some) book.add(part);
  return book;
}
const scope = { until: LATER, members: Object.values(IDS) };
const foundIn = (some: readonly EvidencePart[], until = LATER) =>
  checkLedger(bookOf(some), { ...scope, until }).map(({ code, id }) => [code, id]);

describe('what an audit finds in a ledger', () => {
  test('nothing in an honest one', () => {
    expect(foundIn(parts)).toEqual([]);
  });

  test('a record that is not there: its sender’s numbers have a hole, and so have its receiver’s', () => {
    expect(foundIn(without(read))).toEqual([
      ['AUDIT_SEQ_GAP', second.id],
      ['AUDIT_RSQ_GAP', second.id],
    ]);
  });

  test('a message that nobody acknowledged, once there was time for it', () => {
    const silent = parts.filter((part) => !isAck(part));
    expect(foundIn(silent)).toEqual([
      ['AUDIT_NOT_ACKNOWLEDGED', read.id],
      ['AUDIT_NOT_ACKNOWLEDGED', second.id],
      ['AUDIT_NOT_ACKNOWLEDGED', found.id],
    ]);
    expect(foundIn(silent, 0)).toEqual([]);
  });

  test('a message that was acknowledged and is not there: its sender did not enter it', () => {
    expect(foundIn(without(second)).map(([code]) => code)).toEqual([
      'AUDIT_ACKNOWLEDGED_UNRECORDED',
    ]);
  });

  test('an order without an answer, unless it was refused', async () => {
    expect(foundIn(without(answer))).toEqual([['AUDIT_UNANSWERED', act.id]]);
    const refused = bookOf(without(answer));
    const refusal = {
      type: 'refusal',
      code: 'RECORD_EXPIRED',
      presented_by: 'x',
      subject: 's',
      record: act.id,
      count: 1,
    } as const;
    refused.add({
      kind: 'entry',
      entry: { leaf: { type: 'refusal', index: 99, at: 1, refusal }, size: 0, path: [] },
    });
    expect(checkLedger(refused, scope)).toEqual([]);
  });

  test('a proposal that its receiver acknowledged and did not act on', () => {
    expect(foundIn(without(act, answer))).toContainEqual(['AUDIT_UNUSED', found.id]);
  });

  test('one number on two records', () => {
    const claims = { ...read.claims, jti: 'A'.repeat(22) };
    const jws = forgeJws(city.swarm.svid('sensor'), claims as never);
    const book = bookOf(parts);
    book.add({
      kind: 'entry',
      entry: {
        leaf: { type: 'equivocation', index: 99, at: 1, by: IDS.sensor, jws, other: read.id },
        size: 0,
        path: [],
      },
    });
    expect(checkLedger(book, scope)).toMatchObject([{ code: 'AUDIT_EQUIVOCATION', id: read.id }]);
  });

  test('a record that follows another one than its sender’s last', () => {
    const book = bookOf(without(second));
    const claims = { ...second.claims, prv: act.id };
    const jws = forgeJws(city.swarm.svid('sensor'), claims as never);
    const leaf = { type: 'record', index: 99, at: 1, by: IDS.sensor, jws } as const;
    book.add({ kind: 'entry', entry: { leaf, size: 0, path: [] } });
    expect(checkLedger(book, scope).map(({ code }) => code)).toContain('AUDIT_PRV_BROKEN');
  });
});

describe('what an audit finds between ledger and traces', () => {
  const spanOf = ({ id, claims }: SignedRecord, more: Partial<AuditSpan> = {}): AuditSpan => ({
    name: 'send x',
    start: 0,
    end: 1,
    refused: false,
    record: id,
    answer: undefined,
    told: { digest: claims.pdg, seq: claims.seq, kind: claims.knd, subject: claims.sbj },
    ...more,
  });
  const all = () => [read, second, found, act, answer].map((record) => spanOf(record));
  function join(spans: readonly AuditSpan[], options = { whole: true, until: LATER }) {
    const made = createSpanJoin(bookOf(parts), options);
    for (const span of spans) made.add(span);
    return made.finish(options.until).findings.map(({ code, id }) => [code, id]);
  }

  test('nothing where every record is told of; acknowledgements need not be', () => {
    expect(join(all())).toEqual([]);
  });

  test('a record that nobody told of, where the traces are whole and there was time', () => {
    const spans = all().filter(({ record }) => record !== act.id);
    expect(join(spans)).toEqual([['AUDIT_SPAN_MISSING', act.id]]);
    expect(join(spans, { whole: false, until: LATER })).toEqual([]);
    expect(join(spans, { whole: true, until: 0 })).toEqual([]);
    // What was before the traces began is nobody's silence.
    expect(join(spans.map((span) => ({ ...span, start: LATER, end: LATER })))).toEqual([]);
  });

  test('a span of a record that is not in the ledger, unless it was refused', () => {
    const stranger = spanOf(read, { record: 'A'.repeat(43) });
    expect(join([...all(), stranger])).toEqual([['AUDIT_RECORD_MISSING', 'A'.repeat(43)]]);
    expect(join([...all(), { ...stranger, refused: true }])).toEqual([]);
    expect(join([...all(), { ...stranger, end: LATER }], { whole: true, until: 5 })).toEqual([]);
  });

  test.each(['digest', 'seq', 'kind', 'subject'] as const)(
    'a span that tells another %s than the record has',
    (what) => {
      const { told } = spanOf(read);
      const altered = spanOf(read, { told: { ...told, [what]: what === 'seq' ? 99 : 'other' } });
      expect(join([...all(), altered])).toEqual([['AUDIT_SPAN_DIFFERS', read.id]]);
    },
  );
});

describe('an audit', () => {
  const otlp = (spans: readonly object[]): string =>
    `${JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] })}\n`;
  const otlpOf = ({ id, claims }: SignedRecord) => ({
    name: 'send x',
    startTimeUnixNano: '1',
    endTimeUnixNano: '2000000',
    attributes: [
      { key: 'custody.record.id', value: { stringValue: id } },
      { key: 'custody.record.seq', value: { intValue: claims.seq } },
    ],
  });

  async function auditOf(some: readonly EvidencePart[], traces: string) {
    const file = join(place.path, 'traces.jsonl');
    writeFileSync(file, traces);
    const trust = parseTrust(city.trust);
    if (!trust.ok) throw new Error(trust.detail);
    async function* evidence() {
      for (const part of some) yield Buffer.from(formatEvidenceLine(part));
    }
    return audit({
      evidence: evidence(),
      trust: trust.value,
      traces: { file, dropped: 0 },
      settleMs: 0,
    });
  }

  test('is clean where evidence, ledger and traces are, and counts what led to nothing', async () => {
    const traces = [read, second, found, act, answer]
      .map((record) => otlp([otlpOf(record)]))
      .join('');
    const report = await auditOf(parts, traces);
    expect(report).toMatchObject({ clean: true, findings: [], spans: 5, broken: 0, unused: 1 });
    expect(auditLines(report, { full: false })[0]).toMatch(/^CLEAN +\d+ entries, \d+ records$/);
  });

  test('is not clean where the evidence is not, or a line of the traces is none', async () => {
    const traces = `${otlp([otlpOf(read), otlpOf(second), otlpOf(found), otlpOf(act)])}garbage\n${otlp([{}])}`;
    const report = await auditOf(without(answer), traces);
    expect(report).toMatchObject({ clean: false, broken: 2, spans: 4 });
    expect(report.verdict.overall).toBe('unverifiable');
    const said = auditLines(report, { full: false });
    expect(said[0]).toMatch(/^NOT CLEAN/);
    expect(said.join('\n')).toContain('EVIDENCE_GAP');
    expect(said.join('\n')).toContain('AUDIT_UNANSWERED');
    for (const line of said) {
      expect(line.length).toBeLessThanOrEqual(80);
      expect(line).not.toMatch(CONTROLS);
    }
  });

  test('finds a certificate that was used and not entered as issued, by any count', async () => {
    const { thumbprint } = city.swarm.svid('action');
    const unissued = parts.filter(
      (part) =>
        part.kind !== 'entry' ||
        part.entry.leaf.type !== 'statement' ||
        !part.entry.leaf.note.includes(thumbprint),
    );
    const report = await auditOf(unissued, '');
    expect(report.clean).toBe(false);
    const codes = report.verdict.faults.map(({ code }) => code);
    expect(new Set(codes)).toEqual(new Set(['EVIDENCE_GAP', 'EVIDENCE_ISSUANCE_MISSING']));
  });

  test('judges whole exports alone, and says up to which entry', async () => {
    const whole = await auditOf(parts, '');
    expect(whole.findings).toEqual([]);
    expect(auditLines(whole, { full: false }).join('\n')).toContain(
      `from entry 0 to entry ${whole.verdict.entries.count - 1}`,
    );
    const headed = (header: object) =>
      parts.map((part) =>
        part.kind === 'header'
          ? { ...part, header: { origin: part.header.origin, ...header } }
          : part,
      );
    const to = whole.verdict.entries.count;
    const late = headed({ range: { from: 1, to } }).filter(
      (part) => part.kind !== 'entry' || part.entry.leaf.index > 0,
    );
    for (const some of [late, headed({ action: act.id })]) {
      const report = await auditOf(some, '');
      expect(report.clean).toBe(false);
      expect(report.findings.map(({ code }) => code)).toContain('AUDIT_NOT_WHOLE');
    }
    // Without the range nobody could say that the last entry is missing.
    const short = headed({ range: { from: 0, to: to - 1 } }).slice(0, -1);
    const report = await auditOf(short, '');
    expect([report.clean, report.verdict.faults[0]?.code]).toEqual([false, 'EVIDENCE_GAP']);
    const bare = await auditOf(headed({}).slice(0, -1), '');
    expect([bare.clean, bare.verdict.overall, bare.findings]).toEqual([false, 'malformed', []]);
  });

  test('without traces judges the ledger alone, and says so', async () => {
    const report = await auditOf(parts, '');
    expect(report.findings.map(({ code }) => code)).not.toContain('AUDIT_SPAN_MISSING');
    expect(auditLines(report, { full: false }).join('\n')).toContain('none were read');
  });
});
