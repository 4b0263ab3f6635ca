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

/** Codes of signed notes, checkpoints and statements: what a log or its witnesses wrote. */
export const NOTE_CODES = {
  NOTE_MALFORMED: forged('The text is not a signed note as c2sp.org/signed-note has it.'),
  NOTE_KEY_INVALID: forged(
    'The text is not a verifier key of an Ed25519 signature or cosignature.',
  ),
  NOTE_SIGNATURE_INVALID: forged('A signature in the name of a known key does not verify.'),
  NOTE_UNSIGNED: forged('No known key signed the note.'),
  CHECKPOINT_MALFORMED: forged('The note is not a checkpoint: origin, size, root.'),
  CHECKPOINT_ORIGIN_MISMATCH: forged('The checkpoint is of another log.'),
  CHECKPOINT_QUORUM_MISSING: later('Fewer witnesses than the quorum cosigned the checkpoint.'),
  CHECKPOINT_FORK: forged('Two checkpoints of one log cannot both be true.'),
  STATEMENT_MALFORMED: forged('The note is not a statement of a known kind.'),
  ROLLOVER_MALFORMED: forged('The note is not a change of the keys of a log.'),
  ROLLOVER_REFUSED: forged('The keys in force did not agree to the change, or a new key did not.'),
} as const satisfies Readonly<Record<string, CodeEntry>>;
export type NoteCode = keyof typeof NOTE_CODES;

/** Why a witness does not cosign, with the status that c2sp.org/tlog-witness gives it over HTTP. */
export const WITNESS_CODES = {
  WITNESS_REQUEST_MALFORMED: forged('The request is not old size, proof and checkpoint (400).'),
  WITNESS_ORIGIN_UNKNOWN: forged('The witness does not watch this log (404).'),
  WITNESS_LOG_UNSIGNED: forged('The checkpoint has no valid signature of the log (403).'),
  WITNESS_OLD_SIZE_AHEAD: forged('The old size exceeds that of the checkpoint (400).'),
  WITNESS_SIZE_CONFLICT: later('The old size is not what the witness cosigned last (409).'),
  WITNESS_PROOF_INVALID: forged('The consistency proof does not lead to the checkpoint (422).'),
  WITNESS_FORK: forged('The log signed a tree that does not begin with the one before (422).'),
  WITNESS_STORAGE_FAILED: later('The witness could not store what it is about to sign (503).'),
} as const satisfies Readonly<Record<string, CodeEntry>>;
export type WitnessCode = keyof typeof WITNESS_CODES;
