import type { LedgerStorage } from '#custody/ledger/ledger.ts';
import type { BusLink } from './client/link.ts';
import type { HeaderPairs } from './client/nats.ts';
import type { Member } from './directory.ts';
import { createStreamReader } from './stream-reader.ts';

type Entry = Parameters<LedgerStorage['append']>[0][number];

/** One of the ledger's streams as storage; only the ledger's identity may publish to them. */
export interface StreamStorage extends LedgerStorage {
  /**
   * Every entry, oldest first, for `Ledger.restore`; with `index`, those from there on (perhaps with
   * a repeated one before them). @throws Error when the broker does not answer.
   */
  read(index?: number): AsyncIterable<Uint8Array>;
  /** The newest entry, `undefined` when there is none. @throws as `read` */
  last(): Promise<Uint8Array | undefined>;
}

/** A stream of one subject. */
export interface StoredStream {
  readonly name: string;
  readonly subject: string;
}

/** Sequence number at which that stream newly took it; anything else is no answer to build on. */
function storedAt(data: Uint8Array, wanted: string): number | undefined {
  try {
    const answer: unknown = JSON.parse(Buffer.from(data).toString('utf8'));
    if (typeof answer !== 'object' || answer === null || 'error' in answer) return undefined;
    const { stream, seq, duplicate } = answer as Readonly<Record<string, unknown>>;
    // Of a duplicate only the id is known to be the same, not the bytes.
    if (stream !== wanted || duplicate === true) return undefined;
    return typeof seq === 'number' ? seq : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Each append names the sequence number that must come before it, so that the stream takes nothing
 * where this process does not know what came before: not after a lost one, and not after what
 * another process of the ledger, paused or not quite dead, has written meanwhile. What was not
 * confirmed is read back and compared before anything follows. `Nats-Msg-Id` is the entry's id.
 */
export function createStreamStorage(options: {
  readonly link: BusLink;
  readonly self: Member;
  readonly stream: StoredStream;
  /** A token that no other process uses. */
  readonly nonce: string;
  /** The stream holds what this process has neither read nor written: nothing is appended any more. */
  readonly onForeign?: (detail: string) => void;
}): StreamStorage {
  const { stream, onForeign = () => {} } = options;
  const reader = createStreamReader(options);
  /** Up to this sequence number the stream is known to hold what was read or appended here. */
  let known = 0;
  /** Whether it is known that nothing follows. */
  let atEnd = false;
  let foreign = false;

  /** Whether the stream took it right after that one; `unsure` when what it holds tells more. */
  async function appendOne(entry: Entry, after: number): Promise<'stored' | 'unsure' | 'silent'> {
    const headers: HeaderPairs = [
      ['Nats-Msg-Id', entry.id],
      ['Nats-Expected-Last-Sequence', String(after)],
    ];
    const answer = await reader.ask(stream.subject, entry.bytes, headers);
    if (answer === undefined) return 'silent';
    return answer.status === 0 && storedAt(answer.data, stream.name) === after + 1
      ? 'stored'
      : 'unsure';
  }

  async function appendAll(entries: readonly Entry[]): Promise<'stored' | 'unsure' | 'silent'> {
    const answers = await Promise.all(
      entries.map((entry, index) => appendOne(entry, known + index)),
    );
    const confirmed = answers.findIndex((answer) => answer !== 'stored');
    if (confirmed === -1) {
      known += entries.length;
      return 'stored';
    }
    known += confirmed;
    atEnd = false;
    return answers.includes('silent') ? 'silent' : 'unsure';
  }

  /** How many of these the stream holds already. @throws Error as `read` */
  async function readBack(entries: readonly Entry[]): Promise<number> {
    let held = 0;
    for await (const message of reader.from(known + 1)) {
      const wanted = entries[held];
      if (wanted === undefined || Buffer.compare(message.data, wanted.bytes) !== 0) {
        foreign = true;
        onForeign(
          `${stream.name} holds an entry at ${message.sequence} that is not this process's`,
        );
        return held;
      }
      held += 1;
      known = message.sequence;
    }
    atEnd = true;
    return held;
  }

  return {
    async append(entries) {
      const began = known;
      for (let tries = 0; tries < 2; tries += 1) {
        if (foreign) return known - began;
        if (!atEnd) await readBack(entries.slice(known - began));
        if (foreign) return known - began;
        const answer = await appendAll(entries.slice(known - began));
        if (answer !== 'unsure') break;
      }
      return known - began;
    },
    async *read(index = 0) {
      // Sequence numbers start at 1, and an entry stored twice only moves later ones up.
      for await (const message of reader.from(index + 1)) {
        known = message.sequence;
        yield message.data;
      }
      atEnd = true;
    },
    async last() {
      const message = await reader.last();
      known = message?.sequence ?? 0;
      atEnd = true;
      return message?.data;
    },
  };
}
