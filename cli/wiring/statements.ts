import type { NoteSigner } from '#custody/log/keys.ts';
import { createStandingBook, type StandingBook } from '#custody/log/standing.ts';
import { type Statement, signStatement } from '#custody/log/statement.ts';
import type { IssuerLink } from '#runtime/launcher/issuer-link.ts';
import { createEntering } from './entering.ts';
import { type Holder, type IssuedRow, issuanceOf, type Lives } from './lives.ts';
import { oneAtATime } from './one-at-a-time.ts';

/** A certificate that this process vouched for, as long as it is valid. */
interface Vouched {
  readonly row: IssuedRow;
  readonly holder: Holder;
  revoked: boolean;
}

export interface StatementsOptions {
  /** The attester's: no key of the authority. */
  readonly signer: NoteSigner;
  readonly lives: Lives;
  readonly issuer: Pick<IssuerLink, 'administer' | 'pending'>;
  /** Identities that gate or doors would believe; of others nothing is stated. */
  readonly isMember: (id: string) => boolean;
  /** Those that are needed before there is a ledger: theirs stand when they are stated. */
  readonly bootstrap: ReadonlySet<string>;
  readonly toLedger: (note: string) => void;
  /** To all who judge certificates: statements that stand from now on. */
  readonly toJudges: (notes: readonly string[]) => void;
  /** `id`: whose identity the certificate claims. */
  readonly alarm: (code: 'ISSUANCE_NOT_ATTESTED', detail: string, id: string) => void;
  /** A certificate was revoked: gates and doors have been told. */
  readonly onRevoked?: (row: IssuedRow) => void;
  /** Milliseconds. */
  readonly clock: () => number;
}

export interface Statements {
  /** The statements in force, for a process that starts. */
  notes(): readonly string[];
  /** The same, for doors of this process. */
  readonly standing: StandingBook;
  /** There may be rows in the issuer's outbox. */
  look(): void;
  /** Registration entries may have gone. */
  entriesChanged(): void;
  /** Enters something that has just happened. */
  state(statement: Exclude<Statement, { kind: 'issuance' | 'revocation' }>): void;
  /** Enters a note that others have signed. */
  enter(note: string, entered?: () => void): void;
  /** The ledger said that it holds a note. */
  entered(note: string): void;
  /** A ledger process began. */
  ledgerStarted(): void;
  status(): {
    readonly standing: number;
    /** Statements that the ledger has not confirmed. */
    readonly waiting: number;
    readonly notAttested: number;
    /** From the issuer's word that something was issued until it stood, of the last ones, oldest first; ms. */
    readonly delays: readonly number[];
  };
  close(): void;
}

/** Rows are left with the issuer, on its disk, when so many wait for the ledger. */
const MAX_WAITING = 4096;
const MEASURED = 512;
/** The last records of a process that has ended are still on their way to the ledger. */
const LAST_RECORDS_MS = 5000;
const NO_ENTRY: ReadonlySet<string> = new Set(['mint', 'join_token']);

/**
 * The attester: reads what the issuer issued, states of it what this process can vouch for, has it
 * entered in the ledger, and tells all who judge certificates what stands. An issuance that it cannot
 * vouch for is not signed, whoever's signature the certificate bears, and raises an alarm.
 *
 * Rows of tokens and of identities outside of the swarm are passed over: neither gate nor door takes
 * them. So are rows from before this process began: who held those certificates has ended with the
 * launcher, and none that the ledger had not entered was ever used.
 */
export function createStatements(options: StatementsOptions): Statements {
  const { signer, lives, issuer, clock } = options;
  const standing = createStandingBook({ attesters: [signer.verifier], clock });
  const began = Math.floor(clock() / 1000);
  const vouched = new Map<string, Vouched>();
  /** Rows that the ledger has not confirmed, ascending. */
  const open = new Set<number>();
  let [read, acknowledged, notAttested, heard] = [0, 0, 0, 0];
  const delays: number[] = [];
  let untold: string[] = [];
  let entries: ReadonlySet<string> = new Set();
  /** Rows were left with the issuer because too much waited for the ledger. */
  let stalled = false;
  let closed = false;
  const entering = createEntering({ send: options.toLedger, clock });

  const sign = (statement: Statement): string => signStatement(statement, [signer]);

  /** `undefined` for what has not the form of an issuance: the row is the issuer's word. */
  function noteOf(row: IssuedRow): string | undefined {
    try {
      return sign(issuanceOf(row));
    } catch {
      return undefined;
    }
  }

  function stands(note: string): void {
    standing.add([note]);
    if (untold.length === 0) setImmediate(tell);
    untold.push(note);
  }

  function tell(): void {
    const notes = untold;
    untold = [];
    if (!closed) options.toJudges(notes);
  }

  function forgetEnded(): void {
    const now = clock() / 1000;
    for (const [thumbprint, { row }] of vouched)
      if (row.not_after < now) vouched.delete(thumbprint);
  }

  function measure(since: number): void {
    delays.push(clock() - since);
    if (delays.length > MEASURED) delays.shift();
  }

  function take(seq: number, row: IssuedRow): void {
    if (row.issued_at < began || !options.isMember(row.spiffe_id)) return;
    const holder = lives.vouch(row);
    const note = holder.ok ? noteOf(row) : undefined;
    if (!holder.ok || note === undefined) {
      notAttested += 1;
      const detail = holder.ok ? `row ${seq} of the issuer's log cannot be stated` : holder.detail;
      options.alarm('ISSUANCE_NOT_ATTESTED', detail, row.spiffe_id);
      return;
    }
    vouched.set(row.thumbprint, { row, holder: holder.value, revoked: false });
    const early = options.bootstrap.has(row.spiffe_id);
    if (early) stands(note);
    open.add(seq);
    const since = heard;
    entering.enter(note, () => {
      open.delete(seq);
      if (!early) {
        stands(note);
        measure(since);
      }
      acknowledge.run();
      if (stalled) look.run();
    });
    // Issued in the moment in which its entry was taken away.
    if (!entries.has(row.entry_id) && !NO_ENTRY.has(row.entry_id)) reconcile.run();
  }

  /** Nobody is named by it, so no certificate comes to stand by it; those behind it are not held up. */
  function passOver(seq: number): void {
    notAttested += 1;
    options.alarm('ISSUANCE_NOT_ATTESTED', `row ${seq} of the issuer's log cannot be read`, '');
  }

  const look = oneAtATime(async () => {
    forgetEnded();
    while (!closed) {
      stalled = entering.waiting() >= MAX_WAITING;
      if (stalled) break;
      const page = await issuer.pending(read);
      if (!page.ok || page.value.upTo === read) break;
      for (const { seq, issuance } of page.value.rows) take(seq, issuance);
      for (const seq of page.value.unreadable) passOver(seq);
      read = page.value.upTo;
    }
    acknowledge.run();
  });

  /** Everything before the first row that is not confirmed. */
  const acknowledge = oneAtATime(async () => {
    const [first] = open;
    const upTo = first === undefined ? read : first - 1;
    if (closed || upTo <= acknowledged) return;
    const done = await issuer.administer((link) => link.acknowledge(upTo));
    if (done.ok) acknowledged = upTo;
  });

  /** Revokes what is valid and whose entry is gone. */
  const reconcile = oneAtATime(async () => {
    const found = new Set<string>();
    for (let total = 1; found.size < total; ) {
      const page = await issuer.administer((link) => link.listEntries(found.size));
      if (closed || !page.ok) return;
      for (const { entry } of page.value.entries) found.add(entry.id);
      if (page.value.entries.length === 0) break;
      total = page.value.total;
    }
    entries = found;
    forgetEnded();
    for (const one of vouched.values()) {
      if (one.revoked || found.has(one.row.entry_id) || NO_ENTRY.has(one.row.entry_id)) continue;
      const ended = one.holder.ended();
      const wait = ended === undefined ? 0 : ended + LAST_RECORDS_MS - clock();
      if (wait > 0) setTimeout(() => reconcile.run(), wait).unref();
      else revoke(one);
    }
  });

  function revoke(one: Vouched): void {
    one.revoked = true;
    const { thumbprint } = one.row;
    const reason = `its registration entry ${one.row.entry_id.slice(0, 64)} was removed`;
    const note = sign({ kind: 'revocation', thumbprint, reason });
    // At once, whatever becomes of the ledger: this takes something away.
    stands(note);
    entering.enter(note);
    options.onRevoked?.(one.row);
  }

  return {
    standing,
    notes: () => standing.notes(),
    look: () => {
      heard = clock();
      look.run();
    },
    entriesChanged: () => reconcile.run(),
    state: (statement) => entering.enter(sign(statement)),
    enter: (note, entered) => entering.enter(note, entered),
    entered: (note) => entering.entered(note),
    ledgerStarted: () => entering.repeat(),
    status: () => ({
      standing: standing.notes().length,
      waiting: entering.waiting(),
      notAttested,
      delays: [...delays],
    }),
    close: () => {
      closed = true;
      entering.close();
    },
  };
}
