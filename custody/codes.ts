/**
 * Why something is refused, in three kinds that a caller treats differently:
 * `not-authentic` (it does not prove what it says), `not-allowed` (genuine, but not to be done),
 * `unavailable` (cannot be judged now; the same thing may pass later).
 */
export type RefusalKind = 'not-authentic' | 'not-allowed' | 'unavailable';

export interface CodeEntry {
  readonly kind: RefusalKind;
  readonly meaning: string;
  /**
   * True when the code is only given after the signature has verified: then, and only then, the
   * signer may be named. Before that, `iss` is what a stranger typed.
   */
  readonly signerKnown: boolean;
}

const forged = (meaning: string, signerKnown = false) =>
  ({ kind: 'not-authentic', meaning, signerKnown }) as const;
const denied = (meaning: string, signerKnown = true) =>
  ({ kind: 'not-allowed', meaning, signerKnown }) as const;
const later = (meaning: string, signerKnown = false) =>
  ({ kind: 'unavailable', meaning, signerKnown }) as const;

/** Codes of one record, in the order in which the checks are made. */
export const RECORD_CODES = {
  RECORD_HEADER_MISSING: forged('A custody header that every message carries is absent.'),
  RECORD_HEADER_REPEATED: forged('A custody header appears more than once.'),
  RECORD_SALT_INVALID: forged('The salt is not 16 bytes in base64url.'),
  RECORD_CHAIN_INVALID: forged('The certificate chain is not comma-joined base64 DER.'),
  RECORD_TOO_LARGE: forged('A part of the record exceeds its size limit.'),
  RECORD_FORM_INVALID: forged('The record is not three parts of canonical base64url.'),
  RECORD_HEADER_INVALID: forged('The protected header is not alg, typ and x5t#S256 in this order.'),
  RECORD_HEADER_MEMBER: forged('The protected header has a member that is not allowed.'),
  RECORD_ALG_INVALID: forged('The algorithm is not ES256.'),
  RECORD_TYP_INVALID: forged('The type is not custody+jwt.'),
  RECORD_CLAIMS_NOT_JSON: forged('The claims are not UTF-8 JSON.'),
  RECORD_NOT_CANONICAL: forged('The claims are not in the one serialisation of RFC 8785.'),
  RECORD_CLAIM_UNKNOWN: forged('There is a claim that this version does not know.'),
  RECORD_CLAIM_MISSING: forged('A required claim is absent.'),
  RECORD_CLAIM_INVALID: forged('A claim has the wrong type or form.'),
  RECORD_PARENTS_TOO_MANY: forged('The record names more than 16 causes.'),
  RECORD_KIND_SHAPE: forged('The claims do not fit the kind of record.'),
  RECORD_CHAIN_UNKNOWN: later('The signing certificate is not known here and did not come along.'),
  RECORD_CHAIN_UNVERIFIED: forged('The certificate chain does not verify in its trust domain.'),
  RECORD_CHAIN_MISMATCH: forged('The certificate is not the one that the header names.'),
  RECORD_KEY_INVALID: forged('The certificate does not hold a P-256 key.'),
  RECORD_SVID_REVOKED: denied('The signing identity has been revoked.', false),
  RECORD_SVID_NOT_LOGGED: later('Nobody who is pinned has stated that the certificate was issued.'),
  RECORD_SIGNATURE_INVALID: forged('The signature does not verify.'),
  RECORD_ISSUER_MISMATCH: forged('The claimed sender is not the identity that signed.', true),
  RECORD_SVID_NOT_VALID: forged('The signing SVID is not valid at this time.', true),
  RECORD_FROM_FUTURE: forged('The record was issued in the future.', true),
  RECORD_EXPIRED: forged('The record has expired.', true),
  RECORD_BEFORE_START: forged(
    'The record is older than the receiver, which cannot rule out a replay.',
    true,
  ),
  RECORD_AUDIENCE_MISMATCH: denied('The record is addressed to somebody else.'),
  RECORD_SUBJECT_MISMATCH: forged('The record was signed for another subject.', true),
  RECORD_REPLY_MISMATCH: forged('The record was signed for another reply subject.', true),
  RECORD_PAYLOAD_MISMATCH: forged('The payload is not the one that was signed.', true),
  RECORD_KIND_NOT_ALLOWED: denied('The sender may not make records of this kind.'),
  RECORD_REPLAYED: forged('This record was received before.', true),
  RECORD_REPLAY_CACHE_FULL: later('Too many live records to rule out a replay.', true),
  RECORD_SEQUENCE_REGRESSED: forged('The record is older than one already received.', true),
} as const satisfies Readonly<Record<string, CodeEntry>>;
export type RecordCode = keyof typeof RECORD_CODES;

/** Codes that only the ledger gives. */
export const LEDGER_CODES = {
  LEDGER_NOT_OWN_RECORD: denied('Only the signer submits its record.'),
  LEDGER_SUBJECT_NOT_SENDERS: denied('The signed subject belongs to another sender.'),
  LEDGER_PARENT_UNKNOWN: later('A cause is not in the ledger.', true),
  LEDGER_PARENT_LATER: forged(
    'A cause was issued, or that of an act entered, after the record that names it.',
    true,
  ),
  LEDGER_PARENT_NOT_RECEIVED: forged(
    'A cause was neither made by nor addressed to the sender.',
    true,
  ),
  LEDGER_ACT_CLAIMED: denied('Another act was accepted for this cause and tool.'),
  LEDGER_PAYLOAD_INVALID: forged('The payload is not what this kind of record carries.', true),
  LEDGER_EQUIVOCATION: forged(
    'The sender signed two different records with one sequence number.',
    true,
  ),
  LEDGER_STATEMENT_REFUSED: forged('A statement is not one of a pinned key, or not well-formed.'),
  LEDGER_STORAGE_FAILED: later('The ledger could not store the entry.', true),
} as const satisfies Readonly<Record<string, CodeEntry>>;
export type LedgerOnlyCode = keyof typeof LEDGER_CODES;
export type LedgerCode = RecordCode | LedgerOnlyCode;

/** Codes of the payloads of `ack` records. */
export const ACK_CODES = {
  ACK_INVALID: forged('The payload is neither an acknowledgement nor a refusal.', true),
} as const satisfies Readonly<Record<string, CodeEntry>>;
export type AckCode = keyof typeof ACK_CODES;

/** Codes of entries that were stored before, read again at a restart or by an auditor. */
export const ENTRY_CODES = {
  LEDGER_ENTRY_INVALID: forged('A stored entry does not parse, or does not continue the log.'),
} as const satisfies Readonly<Record<string, CodeEntry>>;
export type EntryCode = keyof typeof ENTRY_CODES;

/** Codes of the ledger's tree heads: what it signed, against what is stored and witnessed. */
export const HEAD_CODES = {
  LEDGER_REWRITTEN: forged('The stored entries are not those for which the ledger signed.'),
  LEDGER_TRUNCATED: forged(
    'The ledger signed for, or witnesses saw, more entries than are stored.',
  ),
  LEDGER_UNWITNESSED: later('Fewer witnesses than the quorum cosign what the ledger holds.'),
  LEDGER_PROOF_INVALID: forged('What the ledger answered does not show that it holds the record.'),
  LEDGER_PROOF_STALE: later('The tree that holds the record was witnessed too long ago.'),
} as const satisfies Readonly<Record<string, CodeEntry>>;
export type HeadCode = keyof typeof HEAD_CODES;

/** The layer's one table of codes. */
export const CUSTODY_CODES: Readonly<
  Record<LedgerCode | AckCode | EntryCode | HeadCode, CodeEntry>
> = {
  ...RECORD_CODES,
  ...LEDGER_CODES,
  ...ACK_CODES,
  ...ENTRY_CODES,
  ...HEAD_CODES,
};
