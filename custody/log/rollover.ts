import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { cosignaturesOf, type LogPolicy } from './checkpoint.ts';
import type { NoteCode } from './codes.ts';
import {
  type NoteSigner,
  parseVerifierKey,
  publicKeyOf,
  type VerifierKey,
  verifyNote,
} from './keys.ts';
import { formatNote, parseNote } from './note.ts';

/** From which size of the log on, other keys are in force. */
export interface Rollover {
  readonly from: number;
  readonly policy: LogPolicy;
}

/** First line of the text: no checkpoint has it as its origin, and no statement begins so. */
const FIRST_LINE = 'custody-rollover/v1';
const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;
const MAX_KEYS = 32;

/** Whether a note claims to be a change of keys; of what it says nothing is proven. */
export function isRollover(note: string): boolean {
  return note.startsWith(`${FIRST_LINE}\n`);
}

function textOf({ from, policy }: Rollover): string {
  const { origin, log, witnesses, quorum } = policy;
  const lines = [
    FIRST_LINE,
    origin,
    `from ${from}`,
    ...log.map(({ vkey }) => `log ${vkey}`),
    ...witnesses.map(({ vkey }) => `witness ${vkey}`),
    `quorum ${quorum}`,
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * The change as a note. A key of the log in force signs, and a quorum of the witnesses in force,
 * each asked by its operator; every new key signs as well, to show that somebody holds it.
 * `time`, seconds since the epoch, is what the witnesses sign.
 */
export function signRollover(
  rollover: Rollover,
  signers: readonly NoteSigner[],
  time: number,
): string {
  const text = textOf(rollover);
  const signatures = signers.map((signer) =>
    signer.verifier.use === 'cosignature' ? signer.sign(text, time) : signer.sign(text),
  );
  return formatNote({ text, signatures });
}

/**
 * The policy that follows `before`. Neither the log alone nor its witnesses alone can bring it
 * about: a thief of the log's key could otherwise name witnesses of his own.
 */
export function openRollover(given: string, before: LogPolicy): Outcome<Rollover, NoteCode> {
  const note = parseNote(given);
  if (!note.ok) return note;
  const parsed = parseRollover(note.value.text);
  if (!parsed.ok) return parsed;
  const { policy } = parsed.value;
  const refused = (detail: string) => refuse('ROLLOVER_REFUSED' as const, detail);
  if (policy.origin !== before.origin) return refused('the change is of another log');
  const log = verifyNote(note.value, before.log);
  if (!log.ok) return log;
  if (log.value.length === 0) return refused('no key of the log in force signed the change');
  const witnesses = cosignaturesOf(note.value, before.witnesses);
  if (!witnesses.ok) return witnesses;
  if (witnesses.value.length < before.quorum) {
    return refused(`${witnesses.value.length} of ${before.quorum} witnesses in force agreed`);
  }
  const old = new Set([...before.log, ...before.witnesses].map(({ vkey }) => vkey));
  const fresh = [...policy.log, ...policy.witnesses].filter(({ vkey }) => !old.has(vkey));
  const proven = verifyNote(note.value, fresh);
  if (!proven.ok) return proven;
  const shown = new Set(proven.value.map(({ key }) => key.vkey));
  const silent = fresh.find(({ vkey }) => !shown.has(vkey));
  if (silent !== undefined) return refused(`the new key ${silent.name} did not sign`);
  return parsed;
}

/** What a change says: nothing of it is proven. */
export function readRollover(given: string): Outcome<Rollover, NoteCode> {
  const note = parseNote(given);
  return note.ok ? parseRollover(note.value.text) : note;
}

/** Whether two sets of keys believe the same, in whatever order they are listed. */
export function samePolicy(one: LogPolicy, other: LogPolicy): boolean {
  const keysOf = ({ log, witnesses }: LogPolicy): string =>
    [...log, ...witnesses]
      .map(({ vkey }) => vkey)
      .sort()
      .join(' ');
  const { origin, quorum } = other;
  return one.origin === origin && one.quorum === quorum && keysOf(one) === keysOf(other);
}

function parseRollover(text: string): Outcome<Rollover, NoteCode> {
  const malformed = (detail: string) => refuse('ROLLOVER_MALFORMED' as const, detail);
  const [first, origin = '', from = '', ...lines] = text.split('\n');
  if (first !== FIRST_LINE || lines.pop() !== '') return malformed(`not of the form ${FIRST_LINE}`);
  const [, size = ''] = /^from (.*)$/.exec(from) ?? [];
  const [, quorum = ''] = /^quorum (.*)$/.exec(lines.pop() ?? '') ?? [];
  if (!DECIMAL.test(size) || !DECIMAL.test(quorum)) return malformed('from or quorum is no number');
  const log: VerifierKey[] = [];
  const witnesses: VerifierKey[] = [];
  if (lines.length > MAX_KEYS) return malformed(`more than ${MAX_KEYS} keys`);
  for (const line of lines) {
    const [role, vkey = '', ...more] = line.split(' ');
    const key = parseVerifierKey(vkey);
    if (more.length > 0 || !key.ok) return malformed('a line is not a role and a key');
    if (role === 'log' && key.value.use === 'note') log.push(key.value);
    else if (role === 'witness' && key.value.use === 'cosignature') witnesses.push(key.value);
    else return malformed('a key is neither for a log nor for a witness');
  }
  const rollover = {
    from: Number(size),
    policy: { origin, log, witnesses, quorum: Number(quorum) },
  };
  const invalid = policyFault(rollover.policy);
  if (invalid !== undefined) return malformed(invalid);
  return textOf(rollover) === text ? accept(rollover) : malformed('the lines are in another order');
}

/** What is wrong with a policy in itself, one line; `undefined` when nothing is. */
export function policyFault({ origin, log, witnesses, quorum }: LogPolicy): string | undefined {
  if (origin === '' || /[\n\r]/.test(origin))
    return 'the origin is empty or has more than one line';
  if (log.length === 0) return 'there is no key of the log';
  if (log.some(({ use }) => use !== 'note')) return 'a key of the log is one for cosignatures';
  if (witnesses.some(({ use }) => use !== 'cosignature')) return 'a witness key is not of type 4';
  // One key under two names would be two witnesses to whoever counts names.
  const keys = [...log, ...witnesses].map(publicKeyOf);
  if (new Set(keys).size !== keys.length) return 'one key appears twice';
  if (!Number.isSafeInteger(quorum) || quorum < 1) return 'the quorum is less than one';
  if (quorum > witnesses.length) return 'the quorum exceeds the number of witnesses';
  return undefined;
}
