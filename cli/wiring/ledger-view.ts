import { randomBytes } from 'node:crypto';
import type { BusLink } from '#bus/client/link.ts';
import type { Member } from '#bus/directory.ts';
import { createStreamStorage } from '#bus/ledger-storage.ts';
import {
  CHECKPOINT_SUBJECT,
  LEDGER_CHECKPOINTS,
  LEDGER_ENTRIES,
  LEDGER_SUBJECT,
} from '#bus/subjects.ts';
import { createBook } from '#custody/ledger/book.ts';
import { decodeEntry, type LedgerEntry } from '#custody/ledger/entry.ts';
import { createQueries, type LedgerQueries } from '#custody/ledger/queries.ts';
import type { LogPolicy } from '#custody/log/checkpoint.ts';
import { createLogCopy, judgeStored, type LogCopy } from './log-copy.ts';

/** Entries come in bursts: one reading takes many. */
const HINT_MS = 20;
const LOOKS = 50;
/** What was read is read again, round and round: who changes the past does not wait for a restart. */
const PATROL_EVERY_MS = 5000;
const PATROL_ENTRIES = 500;

/**
 * A reader's copy of the ledger: every stored entry, in order, as it is appended, with the tree over
 * them and the heads that were stored.
 */
export interface LedgerView extends LedgerQueries, Pick<LogCopy, 'tree' | 'checkpoints'> {
  /** Calls back for each entry after it is in the copy. Returns the function that stops it. */
  onEntry(listener: (entry: LedgerEntry) => void): () => void;
  /** Resolves with the first entry, from `since` on, that fits; at once when it is there. */
  entry(fits: (entry: LedgerEntry) => boolean, since?: number): Promise<LedgerEntry>;
  close(): void;
}

export interface LedgerViewOptions {
  readonly link: BusLink;
  readonly self: Member;
  /** Keys in force for a tree of that size. */
  readonly policyAt: (size: number) => LogPolicy;
  /** Storage does not hold what was witnessed, or what it held before: one line. */
  readonly onRewritten: (detail: string) => void;
}

/** Opens the view: what is stored first, then what comes. @throws Error when it cannot be read. */
export async function openLedgerView(options: LedgerViewOptions): Promise<LedgerView> {
  const { link, self, onRewritten } = options;
  const nonce = randomBytes(8).toString('hex');
  const storage = createStreamStorage({ link, self, stream: LEDGER_ENTRIES, nonce });
  const heads = createStreamStorage({ link, self, stream: LEDGER_CHECKPOINTS, nonce });
  const copy = createLogCopy(options);
  /** Heads that were read, those included that are not believed. */
  let headsRead = 0;
  const book = createBook();
  const listeners = new Set<(entry: LedgerEntry) => void>();
  let reading: Promise<void> | undefined;
  let behind = false;
  let hinted = false;
  /** Entries that the ledger said there are. */
  let promised = 0;

  function take(bytes: Uint8Array): void {
    const entry = decodeEntry(bytes);
    if (entry.ok && entry.value.index < book.entries.length) return;
    if (!entry.ok || entry.value.index !== book.entries.length) {
      const what = entry.ok ? `entry ${entry.value.index}` : 'what is no entry';
      onRewritten(`storage holds ${what} where entry ${book.entries.length} belongs`);
      return;
    }
    book.add(entry.value);
    copy.entry(entry.value);
    for (const listener of listeners) listener(entry.value);
  }

  async function catchUp(): Promise<void> {
    do {
      behind = false;
      // Heads first: what they were signed for is in storage by then.
      for await (const note of heads.read(headsRead)) {
        headsRead += 1;
        copy.head(Buffer.from(note).toString('utf8'));
      }
      for await (const bytes of storage.read(book.entries.length)) take(bytes);
      copy.settle();
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
  link.subscribe(CHECKPOINT_SUBJECT, undefined, () => look(LOOKS));

  /** Reads some of what was read before again. */
  async function patrol(from: number, count: number): Promise<void> {
    const fault = await judgeStored(storage.read(from), book.entries, { from, count });
    if (fault !== undefined) onRewritten(fault);
  }
  const quietly = (work: Promise<unknown>): void => void work.catch(() => undefined);
  link.onRenewed((why) => {
    // A broker that was away may be back with other files.
    const again = () => (why === 'reconnect' ? patrol(0, Number.POSITIVE_INFINITY) : undefined);
    quietly(read().then(again));
  });
  let patrolled = 0;
  const timer = setInterval(() => {
    const from = patrolled < book.entries.length ? patrolled : 0;
    patrolled = from + PATROL_ENTRIES;
    quietly(patrol(from, PATROL_ENTRIES));
  }, PATROL_EVERY_MS);
  timer.unref();
  await link.flush();
  await read();

  const view: LedgerView = {
    ...createQueries(book),
    close: () => clearInterval(timer),
    tree: copy.tree,
    checkpoints: copy.checkpoints,
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
