import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { VerifiedSvid } from '#identity/svid.ts';
import { signerKnown } from '../ack.ts';
import { CUSTODY_CODES, type LedgerCode } from '../codes.ts';
import { createBatchCache } from '../record/batch.ts';
import { type ParsedRecord, parseRecord } from '../record/parse.ts';
import type { RecordId, RecordKind } from '../record.ts';
import { createRefusalTally } from '../refusals.ts';
import { createSvidCache, type VerifyChain } from '../svid-cache.ts';
import { createBook, sequenceKey } from './book.ts';
import { decodeEntry, type LedgerEntry } from './entry.ts';
import { judgeRecord } from './judge.ts';
import { createQueries, type LedgerQueries } from './queries.ts';
import { createWriter } from './writer.ts';

/** Where entries go, in the order given. */
export interface LedgerStorage {
  /**
   * Resolves with how many of them, from the first on, are durable; a later one never is without
   * those before it. Idempotent by `id`: the ledger repeats what it did not learn the end of.
   */
  append(entries: readonly { readonly bytes: Uint8Array; readonly id: string }[]): Promise<number>;
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
  /** It is brought no more: what could pass later is a refusal now, and recorded as one. */
  readonly last?: boolean;
}

export interface Receipt {
  readonly id: RecordId;
  readonly index: number;
  /** True when the record had been accepted before. */
  readonly duplicate: boolean;
}

export interface Entered {
  readonly index: number;
  /** True when it had been entered before. */
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
  /**
   * May this note be entered: a statement of a pinned key, a change of keys? Where it is given, a
   * record is taken only under a certificate that was entered as issued; without it nothing is entered.
   */
  readonly admits?: (note: string) => Outcome<unknown>;
}

export interface Ledger extends LedgerQueries {
  /** Accepts or refuses one record, in the order of the calls; accepted means durable. */
  submit(submission: Submission): Promise<Outcome<Receipt, LedgerCode>>;
  /** Enters a signed note, once; accepted means durable. */
  enter(note: string): Promise<Outcome<Entered, LedgerCode>>;
  /** Every entry, those included that are on their way to storage. */
  entries(): readonly LedgerEntry[];
  /** Entries from index 0 on that storage holds; what the queries show beyond is on its way. */
  durable(): number;
  /** Resolves when more entries are durable. */
  grown(): Promise<void>;
  /** Rebuilds the indexes from storage, before the first submission. */
  restore(
    entries: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<Outcome<number, 'LEDGER_ENTRY_INVALID'>>;
  /** Writes the refusals of past seconds as entries; call it once a second, and with `all` at the end. */
  flush(options?: { readonly all: boolean }): Promise<void>;
  /** A trust bundle changed: chains are verified anew. */
  trustChanged(): void;
}

/**
 * The sequencer: verifies, deduplicates, gives each entry its index, appends. All that decides
 * about a submission happens in the call itself, so that calls are sequenced without a queue.
 */
export function createLedger(options: LedgerOptions): Ledger {
  const { storage, clock } = options;
  const book = createBook();
  const svids = createSvidCache({ verify: options.verify });
  const batches = createBatchCache();
  const tally = createRefusalTally({ clock });
  const writer = createWriter(storage, book);

  const storageFailed = () => refuse('LEDGER_STORAGE_FAILED' as const, 'storage did not answer');

  async function accepted(
    submission: Submission,
    record: ParsedRecord,
  ): Promise<Outcome<Receipt, LedgerCode>> {
    if (writer.full()) return storageFailed();
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
      if (!(await writer.add({ type: 'record', ...carried }))) return storageFailed();
      return accept({ id: record.id, index, duplicate: false });
    }
    // One proof names the sender for good; more would let it fill the ledger.
    if (!book.equivocations.has(key)) {
      if (!(await writer.add({ type: 'equivocation', ...carried, other }))) return storageFailed();
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
    if (CUSTODY_CODES[code].kind === 'unavailable' && submission.last !== true) return;
    tally.add({
      code,
      presented_by: submission.submittedBy,
      subject: submission.subject ?? 'custody.append',
      ...(svid !== undefined && signerKnown(code) && { signed_by: svid.id }),
      ...(record !== undefined && { record: record.id }),
    });
  }

  async function submit(submission: Submission): Promise<Outcome<Receipt, LedgerCode>> {
    const parsed = parseRecord(submission.jws, batches);
    if (!parsed.ok) {
      note(submission, parsed.code, undefined, undefined);
      return parsed;
    }
    const record = parsed.value;
    const known = book.records.get(record.id);
    if (known !== undefined && known.by === submission.submittedBy) {
      // It may be on its way still: a receipt is given for what storage holds.
      if (known.index >= writer.durable() && !(await writer.settle())) return storageFailed();
      return accept({ id: record.id, index: known.index, duplicate: true });
    }
    const stored = book.chains.get(record.thumbprint);
    const chain = stored ?? submission.chain;
    // A chain that is going to be stored is itself verified, not one like it before.
    if (stored === undefined) svids.forget(record.thumbprint);
    const svid = svids.resolve(record.thumbprint, chain, new Date(record.claims.iat * 1000));
    const verdict = svid.ok
      ? judgeRecord({ submission, record, svid: svid.value, book, options, batches })
      : svid;
    const result = verdict.ok ? await accepted(submission, record) : verdict;
    if (!result.ok) note(submission, result.code, record, svid.ok ? svid.value : undefined);
    return result;
  }

  async function enter(note: string): Promise<Outcome<Entered, LedgerCode>> {
    const known = book.statements.get(note);
    if (known !== undefined) {
      if (known.index >= writer.durable() && !(await writer.settle())) return storageFailed();
      return accept({ index: known.index, duplicate: true });
    }
    const admitted = options.admits?.(note);
    if (admitted?.ok !== true) {
      const why =
        admitted === undefined ? 'nobody is pinned' : `${admitted.code}: ${admitted.detail}`;
      return refuse('LEDGER_STATEMENT_REFUSED', why);
    }
    if (writer.full()) return storageFailed();
    const index = book.entries.length;
    const at = Math.floor(clock());
    if (!(await writer.add({ type: 'statement', index, at, note }))) return storageFailed();
    return accept({ index, duplicate: false });
  }

  return {
    ...createQueries(book),
    enter,
    trustChanged: () => svids.flush(),
    entries: () => book.entries,
    durable: writer.durable,
    grown: writer.grown,
    submit,
    async flush(which) {
      if (!(await writer.settle())) return;
      for (const refusal of tally.take(which)) {
        const index = book.entries.length;
        void writer.add({ type: 'refusal', index, at: Math.floor(clock()), refusal });
      }
      await writer.settle();
    },
    async restore(entries) {
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
      writer.restored();
      return accept(book.entries.length);
    },
  };
}
