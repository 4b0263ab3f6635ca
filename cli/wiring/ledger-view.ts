import type { BusLink } from '#bus/client/link.ts';
import type { Member } from '#bus/directory.ts';
import { createStreamStorage } from '#bus/ledger-storage.ts';
import { LEDGER_SUBJECT } from '#bus/subjects.ts';
import { createBook } from '#custody/ledger/book.ts';
import { decodeEntry, type LedgerEntry } from '#custody/ledger/entry.ts';
import { createQueries, type LedgerQueries } from '#custody/ledger/queries.ts';

/** A reader's copy of the ledger: every stored entry, in order, as it is appended. */
export interface LedgerView extends LedgerQueries {
  /** Calls back for each entry after it is in the copy. Returns the function that stops it. */
  onEntry(listener: (entry: LedgerEntry) => void): () => void;
  /** Resolves with the first entry, from `since` on, that fits; at once when it is there. */
  entry(fits: (entry: LedgerEntry) => boolean, since?: number): Promise<LedgerEntry>;
}

/** Opens the view: what is stored first, then what comes. @throws Error when it cannot be read. */
export async function openLedgerView(link: BusLink, self: Member): Promise<LedgerView> {
  const storage = createStreamStorage({ link, self });
  const book = createBook();
  const listeners = new Set<(entry: LedgerEntry) => void>();
  let reading: Promise<void> | undefined;

  function take(bytes: Uint8Array): 'taken' | 'known' | 'gap' {
    const entry = decodeEntry(bytes);
    if (!entry.ok) return 'gap';
    if (entry.value.index < book.entries.length) return 'known';
    if (entry.value.index > book.entries.length) return 'gap';
    book.add(entry.value);
    for (const listener of listeners) listener(entry.value);
    return 'taken';
  }

  async function catchUp(): Promise<void> {
    for await (const bytes of storage.read(book.entries.length)) take(bytes);
  }

  /** One reading at a time; who finds a gap meanwhile is served by the one that runs. */
  function read(): Promise<void> {
    reading ??= catchUp().finally(() => {
      reading = undefined;
    });
    return reading;
  }

  // Live entries are a hint of what is stored: a lost one shows as a gap, and the stream is read.
  link.subscribe(LEDGER_SUBJECT, undefined, ({ data }) => {
    if (reading === undefined && take(data) === 'gap') void read().catch(() => undefined);
  });
  link.onRenewed(() => void read().catch(() => undefined));
  await link.flush();
  await read();
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
