import type { Book } from './book.ts';
import { encodeEntry, entryId, type LedgerEntry } from './entry.ts';
import type { LedgerStorage } from './ledger.ts';

/** Entries that go to storage in one round; more wait for the next. */
const BATCH = 256;
/** Entries that storage has not confirmed; beyond, submissions are refused until it has. */
const MAX_OPEN = 8192;

interface Open {
  readonly bytes: Uint8Array;
  readonly id: string;
  readonly told: (durable: boolean) => void;
}

/** Takes entries into the book at once and into storage in order, many in one round. */
export interface Writer {
  /** Resolves true when storage holds the entry, false when that is not known. */
  add(entry: LedgerEntry): Promise<boolean>;
  /** Resolves true when storage holds everything that is in the book. */
  settle(): Promise<boolean>;
  /** Entries from index 0 on that storage has confirmed. */
  durable(): number;
  /** Resolves when storage confirms the next. */
  grown(): Promise<void>;
  full(): boolean;
  /** The book was rebuilt from storage: all of it is durable. */
  restored(): void;
}

/**
 * An entry whose end is not known keeps its place and its bytes: it is the first of the next round,
 * so that storage never holds a later entry without it.
 */
export function createWriter(storage: LedgerStorage, book: Book): Writer {
  let open: Open[] = [];
  let confirmed = 0;
  let running: Promise<void> | undefined;
  let growing = Promise.withResolvers<void>();

  async function rounds(): Promise<void> {
    while (open.length > 0) {
      const batch = open.slice(0, BATCH);
      const stored = await storage.append(batch).catch(() => 0);
      confirmed += stored;
      for (const { told } of open.splice(0, stored)) told(true);
      if (stored > 0) {
        growing.resolve();
        growing = Promise.withResolvers<void>();
      }
      if (stored === batch.length) continue;
      // Told now rather than kept waiting; the entries stay, for whoever comes next.
      for (const { told } of open) told(false);
      open = open.map((entry) => ({ ...entry, told: () => {} }));
      return;
    }
  }

  function run(): Promise<void> {
    running ??= rounds().finally(() => {
      running = undefined;
    });
    return running;
  }

  return {
    add(entry) {
      book.add(entry);
      const { promise, resolve } = Promise.withResolvers<boolean>();
      open.push({ bytes: encodeEntry(entry), id: entryId(entry), told: resolve });
      void run();
      return promise;
    },
    async settle() {
      await run();
      return open.length === 0;
    },
    durable: () => confirmed,
    grown: () => growing.promise,
    full: () => open.length >= MAX_OPEN,
    restored: () => {
      confirmed = book.entries.length;
    },
  };
}
