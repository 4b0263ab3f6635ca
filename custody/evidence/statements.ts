import type { EquivocationEntry, RecordEntry } from '../ledger/entry.ts';
import { parseNote } from '../log/note.ts';
import { isRollover } from '../log/rollover.ts';
import { statementKind } from '../log/statement.ts';
import type { ExportedEntry } from './write.ts';

type StatementEntry = Extract<ExportedEntry, { readonly type: 'statement' }>;

/** What a statement is about, as far as that decides with which records it belongs. */
interface About {
  readonly entry: StatementEntry;
  readonly kind: string;
  readonly thumbprint: string | undefined;
  readonly id: string | undefined;
}

/**
 * The statements that belong to some records: all about their certificates, also revocations that
 * came later; of those about an identity, and of those about the whole swarm (its policy, its
 * bundle), per kind the one in force when each record was taken.
 */
export function selectStatements(
  all: readonly ExportedEntry[],
  records: readonly (RecordEntry | EquivocationEntry)[],
): readonly StatementEntry[] {
  const statements = all.flatMap((entry) => (entry.type === 'statement' ? aboutOf(entry) : []));
  const thumbprints = new Set(records.map(({ record }) => record.thumbprint));
  const chosen = new Set<StatementEntry>();
  const standing = new Map<string, StatementEntry>();
  const ascending = [...records].sort((a, b) => a.index - b.index);
  let next = 0;
  for (const { index, record } of ascending) {
    for (; (statements[next]?.entry.index ?? index) < index; next += 1) {
      const about = statements[next];
      if (about === undefined || about.thumbprint !== undefined) continue;
      standing.set(`${about.kind} ${about.id ?? ''}`, about.entry);
    }
    for (const [key, entry] of standing) {
      const id = key.slice(key.indexOf(' ') + 1);
      if (id === '' || id === record.claims.iss) chosen.add(entry);
    }
  }
  for (const { thumbprint, entry } of statements) {
    if (thumbprint !== undefined && thumbprints.has(thumbprint)) chosen.add(entry);
  }
  return [...chosen];
}

/** Changes of the log's keys, oldest first: the file has them in a place of their own. */
export function rolloversIn(all: readonly ExportedEntry[]): readonly string[] {
  return all.flatMap((entry) =>
    entry.type === 'statement' && isRollover(entry.note) ? [entry.note] : [],
  );
}

/** Whose statement it is, is for the reader to judge: here it is only sorted. */
function aboutOf(entry: StatementEntry): readonly About[] {
  const kind = statementKind(entry.note);
  const note = parseNote(entry.note);
  if (kind === undefined || !note.ok) return [];
  let claims: unknown;
  try {
    claims = JSON.parse(note.value.text.split('\n')[2] ?? '');
  } catch {
    return [];
  }
  const { thumbprint, id } = Object(claims) as Record<string, unknown>;
  const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined);
  return [{ entry, kind, thumbprint: textOf(thumbprint), id: textOf(id) }];
}
