import type { CodeEntry } from '../codes.ts';

const forged = (meaning: string): CodeEntry => ({
  kind: 'not-authentic',
  meaning,
  signerKnown: false,
});
const later = (meaning: string): CodeEntry => ({
  kind: 'unavailable',
  meaning,
  signerKnown: false,
});

/** Codes of evidence files and trust files. A file that is none has the first three. */
export const EVIDENCE_CODES = {
  EVIDENCE_TOO_LARGE: forged('The file, or a line of it, exceeds its size or depth limit.'),
  EVIDENCE_NOT_CANONICAL: forged('A line is not UTF-8 JSON in the one spelling of RFC 8785.'),
  EVIDENCE_MALFORMED: forged('The file is not evidence of version 1.'),
  EVIDENCE_ORIGIN_MISMATCH: forged('The evidence is of another ledger than the one pinned.'),
  EVIDENCE_ORDER: forged('Entries or checkpoints are not in the order of the ledger.'),
  EVIDENCE_DUPLICATE: forged('One record stands at two places of the ledger.'),
  EVIDENCE_NOT_IN_LEDGER: forged('The entry is not where the evidence says it is in the ledger.'),
  EVIDENCE_KEYS_RETIRED: forged(
    'The checkpoint is by keys that others had replaced before its tree had that size.',
  ),
  EVIDENCE_ROLLOVER_UNLOGGED: later(
    'A change of keys that the file relies on is not among the entries of its range.',
  ),
  EVIDENCE_CHECKPOINT_MISSING: later('There is no checkpoint that covers the entry.'),
  EVIDENCE_ACTION_MISSING: later('The record that the evidence is about is not in it.'),
  EVIDENCE_RECORD_MISSING: later('A record that another one names, or any at all, is missing.'),
  EVIDENCE_GAP: later('An entry of the range, or of the checkpoint in which it ends, is missing.'),
  EVIDENCE_ISSUANCE_MISSING: later('The ledger does not show that the certificate was issued.'),
  EVIDENCE_WITNESSED_LATE: later(
    'The record was first witnessed when its certificate had ended: a stolen key could have made it.',
  ),
  EVIDENCE_UNPINNED: later('Nothing is pinned that could vouch for the ledger.'),
  EVIDENCE_NOT_MEMBER: later('The sender is not among the members that the reader pinned.'),
  TRUST_INVALID: forged('The file does not say whom to trust, or says it wrongly.'),
} as const satisfies Readonly<Record<string, CodeEntry>>;
export type EvidenceCode = keyof typeof EVIDENCE_CODES;
