import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { VerifiedSvid } from '#identity/svid.ts';
import { signerKnown } from '../ack.ts';
import { CUSTODY_CODES, type LedgerCode } from '../codes.ts';
import { type ParsedRecord, parseRecord } from '../record/parse.ts';
import type { RecordId, RecordKind } from '../record.ts';
import { createRefusalTally } from '../refusals.ts';
import { createSvidCache, type VerifyChain } from '../svid-cache.ts';
import { createBook, sequenceKey } from './book.ts';
import { decodeEntry, encodeEntry, entryId, type LedgerEntry } from './entry.ts';
import { judgeRecord } from './judge.ts';
import { createQueries, type LedgerQueries } from './queries.ts';

/**
 * Where entries go. `append` resolves when the entry is durable and rejects when that is not
 * known. It is idempotent by `id`: the ledger repeats an append whose end it did not learn.
 */
export interface LedgerStorage {
  append(entry: Uint8Array, id: string): Promise<void>;
}

export interface Submission {
  /** The identity behind the token that the broker pinned in the subject. */
  readonly submittedBy: SpiffeId;
  readonly jws: string;
  readonly salt: Uint8Array;
  /** Absent: withheld. The record stands, its content cannot be shown. */
  readonly payload?: Uint8Array;
  /** Absent: the ledger has seen this certificate before. */
  readonly chain?: readonly Uint8Array[];
  /** The subject on which it came, for the record of a refusal. */
  readonly subject?: string;
}

export interface Receipt {
  readonly id: RecordId;
  readonly index: number;
  /** True when the record had been accepted before. */
  readonly duplicate: boolean;
}

export interface LedgerOptions {
  readonly verify: VerifyChain;
  readonly storage: LedgerStorage;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Whose subject is this? Without it, the signed subject is not compared with the signer. */
  readonly senderOf?: (subject: string) => SpiffeId | undefined;
  readonly mayMake?: (sender: SpiffeId, kind: RecordKind) => boolean;
}

export interface Ledger extends LedgerQueries {
  /** Accepts or refuses one record. Submissions are sequenced in the order of the calls. */
  submit(submission: Submission): Promise<Outcome<Receipt, LedgerCode>>;
  /** Rebuilds the indexes from storage, before the first submission. */
  restore(
    entries: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<Outcome<number, 'LEDGER_ENTRY_INVALID'>>;
  /** Writes the refusals of past seconds as entries; call it once a second, and with `all` at the end. */
  flush(options?: { readonly all: boolean }): Promise<void>;
  /** A trust bundle changed: chains are verified anew. */
  trustChanged(): void;
}

/** The sequencer: verifies, deduplicates, gives each entry its index, appends. */
export function createLedger(options: LedgerOptions): Ledger {
  const { storage, clock } = options;
  const book = createBook();
  const svids = createSvidCache({ verify: options.verify });
  const tally = createRefusalTally({ clock });
  /** An entry whose append failed: it holds its index until storage has taken it. */
  let pending: LedgerEntry | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  /** One at a time: an index is given only when the entry before it is durable. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = turn.then(work);
    turn = result.catch(() => undefined);
    return result;
  }

  async function append(entry: LedgerEntry): Promise<boolean> {
    try {
      await storage.append(encodeEntry(entry), entryId(entry));
    } catch {
      pending = entry;
      return false;
    }
    pending = undefined;
    book.add(entry);
    return true;
  }

  /** False while storage is failing. */
  async function settle(): Promise<boolean> {
    return pending === undefined || append(pending);
  }

  const storageFailed = () => refuse('LEDGER_STORAGE_FAILED' as const, 'storage did not answer');

  async function accepted(
    submission: Submission,
    record: ParsedRecord,
  ): Promise<Outcome<Receipt, LedgerCode>> {
    const key = sequenceKey(record.claims);
    const other = book.sequences.get(key);
    const index = book.entries.length;
    const carried = {
      index,
      at: Math.floor(clock()),
      by: submission.submittedBy,
      record,
      salt: submission.salt,
      payload: submission.payload,
      chain: book.chains.has(record.thumbprint) ? undefined : submission.chain,
    };
    if (other === undefined) {
      if (!(await append({ type: 'record', ...carried }))) return storageFailed();
      return accept({ id: record.id, index, duplicate: false });
    }
    // One proof names the sender for good; more would let it fill the ledger.
    if (!book.equivocations.has(key)) {
      if (!(await append({ type: 'equivocation', ...carried, other }))) return storageFailed();
    }
    return refuse(
      'LEDGER_EQUIVOCATION',
      `${record.claims.iss} signed seq twice, first in ${other}`,
    );
  }

  function note(
    submission: Submission,
    code: LedgerCode,
    record: ParsedRecord | undefined,
    svid: VerifiedSvid | undefined,
  ): void {
    // What may pass later is not a refusal yet: whoever feeds the ledger brings it again.
    if (CUSTODY_CODES[code].kind === 'unavailable') return;
    tally.add({
      code,
      presented_by: submission.submittedBy,
      subject: submission.subject ?? 'custody.append',
      ...(svid !== undefined && signerKnown(code) && { signed_by: svid.id }),
      ...(record !== undefined && { record: record.id }),
    });
  }

  async function submit(submission: Submission): Promise<Outcome<Receipt, LedgerCode>> {
    const parsed = parseRecord(submission.jws);
    if (!parsed.ok) {
      note(submission, parsed.code, undefined, undefined);
      return parsed;
    }
    const record = parsed.value;
    const known = book.records.get(record.id);
    if (known !== undefined && known.by === submission.submittedBy) {
      return accept({ id: record.id, index: known.index, duplicate: true });
    }
    const stored = book.chains.get(record.thumbprint);
    const chain = stored ?? submission.chain;
    // A chain that is going to be stored is itself verified, not one like it before.
    if (stored === undefined) svids.forget(record.thumbprint);
    const svid = svids.resolve(record.thumbprint, chain, new Date(record.claims.iat * 1000));
    const verdict = svid.ok
      ? judgeRecord({ submission, record, svid: svid.value, book, options })
      : svid;
    const result = verdict.ok ? await accepted(submission, record) : verdict;
    if (!result.ok) note(submission, result.code, record, svid.ok ? svid.value : undefined);
    return result;
  }

  return {
    ...createQueries(book),
    trustChanged: () => svids.flush(),
    submit: (submission) =>
      inTurn(async () => ((await settle()) ? submit(submission) : storageFailed())),
    flush: (which) =>
      inTurn(async () => {
        if (!(await settle())) return;
        for (const refusal of tally.take(which)) {
          const index = book.entries.length;
          if (!(await append({ type: 'refusal', index, at: Math.floor(clock()), refusal }))) return;
        }
      }),
    restore: (entries) =>
      inTurn(async () => {
        let last: string | undefined;
        for await (const bytes of entries) {
          const text = Buffer.from(bytes).toString('latin1');
          // A repeated append may have been stored twice; it is one entry.
          if (text === last) continue;
          last = text;
          const entry = decodeEntry(bytes);
          if (!entry.ok) return entry;
          if (entry.value.index !== book.entries.length) {
            const want = book.entries.length;
            return refuse(
              'LEDGER_ENTRY_INVALID',
              `entry ${entry.value.index} stands where ${want} belongs`,
            );
          }
          book.add(entry.value);
        }
        return accept(book.entries.length);
      }),
  };
}
