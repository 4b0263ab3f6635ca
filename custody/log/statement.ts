import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { canonicalise, canonicalText } from '../canonical.ts';
import type { NoteCode } from './codes.ts';
import { type NoteSigner, publicKeyOf, type VerifierKey, verifyNote } from './keys.ts';
import { formatNote, parseNote } from './note.ts';
import { parseStatementClaims, type Statement } from './statement-kinds.ts';

export type {
  AttestationStatement,
  AuthorityStatement,
  BundleStatement,
  Issuance,
  PolicyStatement,
  Revocation,
  Statement,
  StatementKind,
} from './statement-kinds.ts';

/** First line of the text: no checkpoint and no change of keys begins so. */
const FIRST_LINE = 'custody-statement/v1';
const KIND = /^[a-z][a-z-]{0,31}$/;

/** A statement as a note: first line, kind, canonical JSON. All of the signers sign. */
export function signStatement(statement: Statement, signers: readonly NoteSigner[]): string {
  const { kind, ...claims } = statement;
  const text = `${FIRST_LINE}\n${kind}\n${canonicalText(claims)}\n`;
  const note = formatNote({ text, signatures: signers.map((signer) => signer.sign(text)) });
  const parsed = parseStatement(text);
  if (!parsed.ok) throw new Error(`statement: ${parsed.detail}`);
  return note;
}

/**
 * The kind that a note claims to state, or `undefined` when it is no statement. A log holds kinds
 * that this version does not read: of those it is only known that they are in the log.
 */
export function statementKind(given: string): string | undefined {
  const note = parseNote(given);
  const [first, kind] = note.ok ? note.value.text.split('\n', 2) : [];
  return first === FIRST_LINE && kind !== undefined && KIND.test(kind) ? kind : undefined;
}

/**
 * A statement that at least `required` of the keys signed, each counted once by its public key. Keys
 * for cosignatures are not counted: they say when something was seen, and vouch for nothing in it.
 */
export function openStatement(
  given: string,
  keys: readonly VerifierKey[],
  required: number,
): Outcome<Statement, NoteCode> {
  const note = parseNote(given);
  if (!note.ok) return note;
  const statement = parseStatement(note.value.text);
  if (!statement.ok) return statement;
  const signed = verifyNote(note.value, keys);
  if (!signed.ok) return signed;
  const signers = new Set(
    signed.value.filter(({ key }) => key.use === 'note').map(({ key }) => publicKeyOf(key)),
  );
  if (signers.size >= required) return statement;
  return refuse('NOTE_UNSIGNED', `${signers.size} of ${required} keys signed the statement`);
}

function parseStatement(text: string): Outcome<Statement, NoteCode> {
  const malformed = (detail: string) => refuse('STATEMENT_MALFORMED' as const, detail);
  const [first, kind, json = '', ...rest] = text.split('\n');
  if (first !== FIRST_LINE || rest.length !== 1 || rest[0] !== '') {
    return malformed(`the note is not of the form ${FIRST_LINE}`);
  }
  let claims: unknown;
  try {
    claims = JSON.parse(json);
  } catch {
    return malformed('the claims are not JSON');
  }
  if (typeof claims !== 'object' || claims === null || canonicalise(claims) !== json) {
    return malformed('the claims are not canonical JSON');
  }
  const statement = parseStatementClaims(kind ?? '', claims as Record<string, unknown>);
  if (statement !== undefined) return accept(statement);
  return malformed('the kind of statement is not known, or its claims are others');
}
