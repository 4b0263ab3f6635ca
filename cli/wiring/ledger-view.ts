import { randomBytes } from 'node:crypto';
import type { BusLink } from '#bus/client/link.ts';
import type { Member } from '#bus/directory.ts';
import { createStreamStorage } from '#bus/ledger-storage.ts';
import { LEDGER_ENTRIES, LEDGER_SUBJECT } from '#bus/subjects.ts';
import { createBook } from '#custody/ledger/book.ts';
import { decodeEntry, type LedgerEntry } from '#custody/ledger/entry.ts';
import { createQueries, type LedgerQueries } from '#custody/ledger/queries.ts';

/** Entries come in bursts: one reading takes many. */
const HINT_MS = 20;
const LOOKS = 50;

/** A reader's copy of the ledger: every stored entry, in order, as it is appended. */
export interface LedgerView extends LedgerQueries {
  /** Calls back for each entry after it is in the copy. Returns the function that stops it. */
  onEntry(listener: (entry: LedgerEntry) => void): () => void;
  /** Resolves with the first entry, from `since` on, that fits; at once when it is there. */
  entry(fits: (entry: LedgerEntry) => boolean, since?: number): Promise<LedgerEntry>;
}

/** Opens the view: what is stored first, then what comes. @throws Error when it cannot be read. */
export async function openLedgerView(link: BusLink, self: Member): Promise<LedgerView> {
  const storage = createStreamStorage({
    link,
    self,
    stream: LEDGER_ENTRIES,
    nonce: randomBytes(8).toString('hex'),
  });
  const book = createBook();
  const listeners = new Set<(entry: LedgerEntry) => void>();
  let reading: Promise<void> | undefined;
  let behind = false;
  let hinted = false;
  /** Entries that the ledger said there are. */
  let promised = 0;

  function take(bytes: Uint8Array): void {
    const entry = decodeEntry(bytes);
    if (!entry.ok || entry.value.index !== book.entries.length) return;
    book.add(entry.value);
    for (const listener of listeners) listener(entry.value);
  }

  async function catchUp(): Promise<void> {
    do {
      behind = false;
      for await (const bytes of storage.read(book.entries.length)) take(bytes);
    } while (behind);
  }

  /** One reading at a time; who finds more meanwhile is served by the one that runs. */
  function read(): Promise<void> {
    behind = true;
    reading ??= catchUp().finally(() => {
      reading = undefined;
    });
    return reading;
  }

  function look(tries: number): void {
    if (hinted) return;
    hinted = true;
    setTimeout(async () => {
      hinted = false;
      await read().catch(() => undefined);
      // Published, and not stored yet: it will be, or the ledger publishes it again.
      if (book.entries.length < promised && tries > 0) look(tries - 1);
    }, HINT_MS);
  }

  // What the ledger publishes is only a hint: an entry is one when storage holds it, and a ledger
  // that fails between the two may give its index to another.
  link.subscribe(LEDGER_SUBJECT, undefined, ({ data }) => {
    const entry = decodeEntry(data);
    if (entry.ok) promised = Math.max(promised, entry.value.index + 1);
    look(LOOKS);
  });
  link.onRenewed(() => void read().catch(() => undefined));
  await link.flush();
  await read();

  const view: LedgerView = {
    ...createQueries(book),
    onEntry: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    entry: (fits, since = 0) => {
      const found = book.entries.slice(since).find(fits);
      if (found !== undefined) return Promise.resolve(found);
      return new Promise((resolve) => {
        const stop = view.onEntry((entry) => {
          if (entry.index < since || !fits(entry)) return;
          stop();
          resolve(entry);
        });
      });
    },
  };
  return view;
}
