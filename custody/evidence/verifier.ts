import type { Refused } from '#identity/outcome.ts';
import { isRollover } from '../log/rollover.ts';
import { openStatement, statementKind } from '../log/statement.ts';
import { isStatementKind } from '../log/statement-kinds.ts';
import { createAhead } from './ahead.ts';
import { createAskList } from './asks.ts';
import type { EvidenceEntry, EvidenceHeader, EvidencePart } from './format.ts';
import { createHeads } from './heads.ts';
import { createIssuances } from './issuances.ts';
import { createJudge, type Judged } from './judge.ts';
import { createRecords } from './records.ts';
import { createLedgerRules } from './rules.ts';
import type { Trust } from './trust.ts';
import {
  type EvidenceVerdict,
  type Fault,
  type FaultCode,
  type Overall,
  verdictOf,
} from './verdict.ts';

export interface EvidenceVerifier {
  /**
   * Begins to verify the signatures in these parts on other threads; to be added when it resolves.
   * Without it they are verified when they are added.
   */
  ahead(parts: readonly EvidencePart[]): Promise<void>;
  /** The parts of a file in its order, the header first. */
  add(part: EvidencePart): void;
  /** The file cannot be read further. */
  malformed(refused: Refused<FaultCode>): void;
  finish(): EvidenceVerdict;
}

const MAX_FAULTS = 100;

/**
 * Takes a file part by part and keeps of each entry only what others are compared with. Without
 * trust nothing is proven, and what contradicts itself is forged all the same.
 */
export function createEvidenceVerifier(trust?: Trust): EvidenceVerifier {
  const heads = createHeads(trust?.log);
  const ahead = createAhead();
  const judge = createJudge(trust, heads, ahead);
  const issuances = createIssuances(trust?.issuance);
  const asks = createAskList();
  const records = createRecords(createLedgerRules(trust?.members));
  const faults: Fault[] = [];
  const beside = { refusal: 0, equivocation: 0, statement: 0 };
  let header: EvidenceHeader | undefined;
  let broken = false;
  let count = 0;
  let from = 0;
  /** The index that must come next in a range; else the least that may. */
  let next = 0;
  /** Entries of the largest tree that an entry of the file is shown in. */
  let shown = 0;

  const fault = ({ code, detail }: Refused<FaultCode>, index?: number): void => {
    // Said once for the whole file.
    if (code === 'EVIDENCE_UNPINNED' && faults.some((one) => one.code === code)) return;
    faults.push({ code, detail, ...(index !== undefined && { index }) });
  };
  const gap = (begin: number, end: number, why = ''): void => {
    if (begin >= end) return;
    const which = end - begin === 1 ? `entry ${begin} is` : `entries ${begin} to ${end - 1} are`;
    faults.push({ code: 'EVIDENCE_GAP', detail: `${which} missing${why}`, index: begin });
  };

  function addHeader(given: EvidenceHeader): void {
    header = given;
    next = given.range?.from ?? 0;
    if (trust === undefined || given.origin === trust.log.origin) return;
    const detail = 'the evidence is of another ledger than the one pinned';
    faults.push({ code: 'EVIDENCE_ORIGIN_MISMATCH', detail });
  }

  function checkOrder(index: number): void {
    if (count === 0) from = index;
    const range = header?.range;
    if (index < next || (range !== undefined && index >= range.to)) {
      faults.push({ code: 'EVIDENCE_ORDER', detail: `entry ${index} stands out of order`, index });
    } else if (range !== undefined) gap(next, index);
    next = Math.max(next, index + 1);
    count += 1;
  }

  /**
   * The range is nobody's word: one that ends before the file's own tree heads do would hide what
   * they cover. An honest one always goes to the end of its last head.
   */
  function checkEnd(): void {
    const range = header?.range;
    if (range === undefined) return;
    gap(next, range.to);
    const size = Math.max(shown, heads.latest()?.size ?? 0);
    const why = `: the range ends before its checkpoint of ${size} entries`;
    gap(Math.max(next, range.to), size, why);
  }

  /** Kinds that this version does not know prove nothing, and accuse nobody. */
  function addStatement(note: string, index: number, proven: boolean): void {
    if (isRollover(note)) {
      if (proven) heads.entered(note);
      return;
    }
    const kind = statementKind(note);
    if (kind !== undefined && !isStatementKind(kind)) return;
    const { keys, required } = trust?.issuance ?? { keys: [], required: 0 };
    const statement = openStatement(note, keys, required);
    if (!statement.ok) fault(statement, index);
    else if (proven) {
      issuances.add(statement.value, index);
      if (statement.value.kind === 'authority' && trust?.issuance !== undefined) {
        judge.addAuthority(statement.value);
      }
    }
  }

  function addRecord(
    entry: EvidenceEntry,
    judged: Judged,
    head: ReturnType<typeof judge.judgeEntry>,
  ): void {
    if (trust === undefined && judged.record !== undefined) asks.record(judged.record.claims);
    const witnessed = head.ok ? head.value.time : undefined;
    records.add(entry, judged, { ancestry: header?.action !== undefined, witnessed });
  }

  function addEntry(entry: EvidenceEntry): void {
    const { leaf } = entry;
    checkOrder(leaf.index);
    const head = judge.judgeEntry(entry);
    if (heads.rootOf(entry.size) !== undefined) shown = Math.max(shown, entry.size);
    switch (leaf.type) {
      case 'record':
        addRecord(entry, judge.judgeRecord(entry, leaf, head), head);
        return;
      case 'equivocation': {
        const judged = judge.judgeRecord(entry, leaf, head);
        if (judged.verdict.ok) records.addTwin(judged, leaf.index);
        else fault(judged.verdict, leaf.index);
        break;
      }
      case 'statement':
        addStatement(leaf.note, leaf.index, head.ok);
        break;
      case 'refusal':
        break;
      default:
        leaf satisfies never;
    }
    if (head.ok) beside[leaf.type] += 1;
    else if (leaf.type !== 'equivocation') fault(head, leaf.index);
  }

  return {
    ahead: (parts) => ahead.begin(parts),
    add(part) {
      if (part.kind === 'header') addHeader(part.header);
      else if (part.kind === 'chain') judge.addChain(part.chain);
      else if (part.kind === 'entry') addEntry(part.entry);
      else {
        const isHead = part.kind === 'checkpoint';
        if (trust === undefined && isHead) asks.checkpoint(part.checkpoint.note);
        const added = isHead ? heads.add(part.checkpoint) : heads.rollover(part.note);
        if (!added.ok) fault(added);
      }
    },
    malformed(refused) {
      broken = true;
      fault(refused);
    },
    finish() {
      const range = header?.range;
      checkEnd();
      for (const one of range === undefined ? [] : heads.unlogged(range)) fault(one);
      const judged = records.finish(header?.action, (one) => issuances.judge(one));
      const all = [...faults, ...judged.faults];
      if (count === 0 && header?.action === undefined && !broken) {
        all.push({ code: 'EVIDENCE_RECORD_MISSING', detail: 'the file holds no entry' });
      }
      const witnessed = heads.latest();
      return {
        overall: broken ? 'malformed' : overallOf(all),
        ...(judged.ancestry && { ancestry: judged.ancestry, beyond: judged.beyond }),
        counts: judged.counts,
        faults: all.slice(0, MAX_FAULTS),
        faultCount: all.length,
        entries: { count, from, to: count === 0 ? from : next },
        ...(trust === undefined && header !== undefined && { asks: asks.of(header.origin) }),
        ...(witnessed && { witnessed: { size: witnessed.size, time: witnessed.time } }),
        beside,
      };
    },
  };
}

function overallOf(faults: readonly Fault[]): Overall {
  if (faults.length === 0) return 'proven';
  return faults.some((fault) => verdictOf(fault) === 'forged') ? 'forged' : 'unverifiable';
}
