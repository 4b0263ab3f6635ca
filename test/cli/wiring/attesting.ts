import { createHash } from 'node:crypto';
import { vi } from 'vitest';
import { createLives, type IssuedRow, type Lives } from '#cli/wiring/lives.ts';
import { createStatements, type Statements } from '#cli/wiring/statements.ts';
import { openStatement, type Statement } from '#custody/log/statement.ts';
import type { AttestationClaims } from '#identity/issuer/launcher-link.ts';
import { accept } from '#identity/outcome.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import type { Administered } from '#runtime/launcher/issuer-link.ts';
import { noteSigner } from '#test/custody/log/support.ts';

const attester = noteSigner('city.example/attester');
export const ID = spiffeId('spiffe://city.example/agent/sensor/north/cam-1');
export const LEDGER = spiffeId('spiffe://city.example/platform/ledger');
export const DIGEST = `sha256:${'ab'.repeat(32)}`;
export const print = (text: string) => createHash('sha256').update(text).digest('base64url');

export function claims(id = ID, pid = 7): AttestationClaims {
  return {
    pid,
    startTime: 1,
    exe: { path: '/node', dev: '1', ino: '2' },
    image: { name: 'sensor', digest: DIGEST, signature: '', keyId: '' },
    workload: { spiffeId: id, agentType: 'sensor', instance: `instance-${pid}` },
  };
}

/** The issuer's outbox and entries in memory, the ledger as what it was given. */
export function setUp() {
  const rows: { seq: number; issuance: IssuedRow }[] = [];
  const unreadable = new Set<number>();
  const entries = new Set(['entry']);
  const acknowledged: number[] = [];
  const ledger: string[] = [];
  const judges: Statement[] = [];
  const alarms: string[] = [];
  const revoked: string[] = [];
  const link = {
    acknowledge: async (upTo: number) => {
      acknowledged.push(upTo);
      return accept({});
    },
    listEntries: async (offset: number) => {
      const all = [...entries].map((id) => ({ origin: 'file', entry: { id } }));
      return accept({ entries: all.slice(offset), total: all.length });
    },
  } as unknown as Administered;
  const pending = async (after: number) => {
    const page = rows.filter(({ seq }) => seq > after).slice(0, 500);
    const skipped = [...unreadable].filter((seq) => seq > after);
    const upTo = Math.max(after, page.at(-1)?.seq ?? 0, ...skipped);
    return accept({ rows: page, unreadable: skipped, upTo });
  };
  const lives: Lives = createLives(Date.now);
  const statements: Statements = createStatements({
    signer: attester,
    lives,
    issuer: { administer: (question) => question(link), pending },
    isMember: (id) => id === ID || id === LEDGER,
    bootstrap: new Set([LEDGER]),
    toLedger: (note) => ledger.push(note),
    toJudges: (notes) => judges.push(...notes.map(read)),
    alarm: (code, detail) => alarms.push(`${code}: ${detail}`),
    onRevoked: ({ thumbprint }) => revoked.push(thumbprint),
    clock: Date.now,
  });
  const issue = (name: string, more: Partial<IssuedRow> = {}, pid = 7) => {
    const now = Math.floor(Date.now() / 1000);
    const selectors = [`swarm:instance:instance-${pid}`, `swarm:image_digest:${DIGEST}`];
    const issuance: IssuedRow = {
      spiffe_id: ID,
      serial: '0a',
      thumbprint: print(name),
      selectors,
      entry_id: 'entry',
      authority_id: 'a',
      issued_at: now,
      not_before: now - 10,
      not_after: now + 20,
      ...more,
    };
    rows.push({ seq: rows.length + unreadable.size + 1, issuance });
    statements.look();
  };
  /** Everything that is not waiting for time has happened. */
  const settled = () => vi.advanceTimersByTimeAsync(0);
  const judge = (name: string, id = ID) =>
    statements.standing.judge({ id, thumbprint: print(name) });
  const state = { rows, unreadable, entries, acknowledged, ledger, judges, alarms, revoked };
  return { ...state, lives, statements, issue, settled, judge };
}

export function read(note: string): Statement {
  const statement = openStatement(note, [attester.verifier], 1);
  if (!statement.ok) throw new Error(statement.detail);
  return statement.value;
}
