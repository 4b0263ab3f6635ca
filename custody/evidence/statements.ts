import type {
  EquivocationEntry,
  LedgerEntry,
  RecordEntry,
  StatementEntry,
} from '../ledger/entry.ts';
import { isRollover } from '../log/rollover.ts';
import { openStatement, type Statement } from '../log/statement.ts';
import { SKEW_SECONDS } from '../record/check.ts';
import type { RecordClaims } from '../record.ts';

interface Stated {
  readonly entry: StatementEntry;
  readonly statement: Statement;
}

/**
 * The statements that belong to some records: all about their certificates, also revocations that
 * came later; and of those about their senders, the swarm's policy, its authorities and its bundle
 * the ones in force when each record was taken.
 */
export function selectStatements(
  all: readonly LedgerEntry[],
  records: readonly (RecordEntry | EquivocationEntry)[],
): readonly StatementEntry[] {
  const stated = all.flatMap((entry) => (entry.type === 'statement' ? statedIn(entry) : []));
  const thumbprints = new Set(records.map(({ record }) => record.thumbprint));
  const chosen = new Set<StatementEntry>();
  for (const { entry, statement } of stated) {
    if ('thumbprint' in statement && thumbprints.has(statement.thumbprint)) chosen.add(entry);
  }
  const standing = new Map<string, Stated>();
  let next = 0;
  for (const { index, record } of [...records].sort((a, b) => a.index - b.index)) {
    for (let one = stated[next]; one !== undefined && one.entry.index < index; one = stated[next]) {
      const subject = subjectOf(one.statement);
      if (subject !== undefined) standing.set(`${one.statement.kind} ${subject}`, one);
      next += 1;
    }
    for (const { entry, statement } of standing.values()) {
      if (isAbout(statement, record.claims)) chosen.add(entry);
    }
  }
  return [...chosen];
}

/** An authority is whoever's certificate it may have signed: all that were valid then. */
function isAbout(statement: Statement, { iss, iat }: RecordClaims): boolean {
  if (statement.kind !== 'authority') return !('id' in statement) || statement.id === iss;
  return statement.nbf <= iat + SKEW_SECONDS && iat <= statement.exp + SKEW_SECONDS;
}

/** Changes of the log's keys, oldest first: the file has them in a place of their own. */
export function rolloversIn(all: readonly LedgerEntry[]): readonly string[] {
  return all.flatMap((entry) =>
    entry.type === 'statement' && isRollover(entry.note) ? [entry.note] : [],
  );
}

/** What a later statement of its kind takes the place of; of certificates each one stays. */
function subjectOf(statement: Statement): string | undefined {
  switch (statement.kind) {
    case 'issuance':
    case 'revocation':
      return undefined;
    case 'attestation':
      return statement.id;
    case 'authority':
      return `${statement.use} ${statement.authority}`;
    case 'policy':
      return '';
    case 'bundle':
      return statement.domain;
    default:
      return statement satisfies never;
  }
}

/** Whose statement it is, is for the reader to judge: here it is only sorted. */
function statedIn(entry: StatementEntry): readonly Stated[] {
  const statement = openStatement(entry.note, [], 0);
  return statement.ok ? [{ entry, statement: statement.value }] : [];
}
