import { CUSTODY_CODES, type LedgerCode, type RefusalKind } from '../codes.ts';
import { NOTE_CODES, type NoteCode } from '../log/codes.ts';
import type { RecordId } from '../record.ts';
import type { Ancestry, Hop, HopVerdict } from '../verify.ts';
import { EVIDENCE_CODES, type EvidenceCode } from './codes.ts';

export type FaultCode = LedgerCode | NoteCode | EvidenceCode | 'LEDGER_ENTRY_INVALID';

/** What is wrong, and where. */
export interface Fault {
  readonly code: FaultCode;
  /** One line. */
  readonly detail: string;
  /** Of the ledger's entry, where it is one's. */
  readonly index?: number;
  readonly id?: RecordId;
}

/**
 * `proven`: everything in the file is genuine or withheld, and nothing that it should hold is
 * missing. `forged`: something is proven wrong. `unverifiable`: nothing is, and something is
 * missing. `malformed`: it is no evidence, or was cut.
 */
export type Overall = 'proven' | 'forged' | 'unverifiable' | 'malformed';

/** Exit codes of the process that tells the verdict; 2 stays for wrong usage. */
export const EXIT_CODES: Readonly<Record<Overall, number>> = {
  proven: 0,
  forged: 1,
  unverifiable: 3,
  malformed: 4,
};

/** What a reader would have to pin. All of it is the file's own word: it proves nothing. */
export interface Asks {
  readonly origin: string;
  /** Names in the signature lines of the checkpoints: the log's and its witnesses'. */
  readonly signers: readonly string[];
  readonly trustDomains: readonly string[];
}

export interface EvidenceVerdict {
  readonly overall: Overall;
  /** What was asked for and all that led to it; absent in a bulk export. */
  readonly ancestry?: Ancestry;
  /** Beside an ancestry: the other records of the file, in its order; the answers to the action. */
  readonly beyond?: readonly Hop[];
  /** Of every record in the file; a record that is missing counts as unverifiable. */
  readonly counts: Readonly<Record<HopVerdict, number>>;
  /** In the order found, at most a hundred; `faultCount` has all. */
  readonly faults: readonly Fault[];
  readonly faultCount: number;
  /** Of all entries, from the first index in the file to and without the last. */
  readonly entries: { readonly count: number; readonly from: number; readonly to: number };
  /** Of the largest checkpoint that the quorum cosigned: size, trusted time (seconds). */
  readonly witnessed?: { readonly size: number; readonly time: number };
  /** Without a trust file: by whose keys and roots the file would have to be judged, as it says. */
  readonly asks?: Asks;
  /** What is beside the records, proven to be in the ledger. */
  readonly beside: Readonly<Record<'refusal' | 'equivocation' | 'statement', number>>;
}

const KINDS: Readonly<Record<FaultCode, { readonly kind: RefusalKind }>> = {
  ...CUSTODY_CODES,
  ...NOTE_CODES,
  ...EVIDENCE_CODES,
};

/** Something that is missing may still turn up; everything else is proven wrong. */
export function verdictOf({ code, detail }: Pick<Fault, 'code' | 'detail'>): HopVerdict {
  // Without the root nothing is proven either way: neither pinned nor stated, it may still turn up.
  if (/^SVID_(?:TRUST_DOMAIN|SIGNER)_UNKNOWN\b/.test(detail)) return 'unverifiable';
  return KINDS[code].kind === 'unavailable' ? 'unverifiable' : 'forged';
}
