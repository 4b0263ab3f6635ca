import type { LedgerStorage } from '#custody/ledger/ledger.ts';
import type { BusLink } from './client/link.ts';
import type { HeaderPairs, Incoming } from './client/nats.ts';
import type { Member } from './directory.ts';

type Entry = Parameters<LedgerStorage['append']>[0][number];

/** One of the ledger's streams as storage; only the ledger's identity may publish to them. */
export interface StreamStorage extends LedgerStorage {
  /**
   * Every entry, oldest first, for `Ledger.restore`; with `index`, those from there on (perhaps with
   * a repeated one before them). @throws Error when the broker does not answer.
   */
  read(index?: number): AsyncIterable<Uint8Array>;
}

/** A stream of one subject. */
export interface StoredStream {
  readonly name: string;
  readonly subject: string;
}

const ANSWER_MS = 3000;
const BATCH = 500;

function headerOf(message: Incoming, wanted: string): string | undefined {
  const { headers } = message;
  if (headers === undefined || headers === 'malformed') return undefined;
  for (const [name, values] of headers) if (name === wanted) return values[0];
  return undefined;
}

/** Sequence of a PubAck of that stream; an error, or no responders, is no answer to build on. */
function storedAt(message: Incoming, wanted: string): number | undefined {
  if (message.status !== 0) return undefined;
  try {
    const answer: unknown = JSON.parse(Buffer.from(message.data).toString('utf8'));
    if (typeof answer !== 'object' || answer === null || 'error' in answer) return undefined;
    const { stream, seq } = answer as { stream?: unknown; seq?: unknown };
    return stream === wanted && typeof seq === 'number' ? seq : undefined;
  } catch {
    return undefined;
  }
}

/**
 * `Nats-Msg-Id` is the entry's id: an append repeated after a lost answer is stored once. Many are
 * under way at a time; each names the sequence number that must come before it, so that the stream
 * takes none of them when the one before was lost.
 */
export function createStreamStorage(options: {
  readonly link: BusLink;
  readonly self: Member;
  readonly stream: StoredStream;
}): StreamStorage {
  const { link, self, stream } = options;
  const prefix = `_INBOX.${self.token}._js.${stream.name}`;
  const waiting = new Map<string, (message: Incoming | undefined) => void>();
  let count = 0;
  let end: number | undefined;
  // `_js` is no service, so nobody but the server can answer here.
  link.subscribe(`${prefix}.*`, undefined, (message) => waiting.get(message.subject)?.(message));

  async function ask(payload: Uint8Array, headers: HeaderPairs): Promise<Incoming | undefined> {
    count += 1;
    const reply = `${prefix}.${count}`;
    let timer: NodeJS.Timeout | undefined;
    const answered = new Promise<Incoming | undefined>((resolve) => {
      waiting.set(reply, resolve);
      timer = setTimeout(() => resolve(undefined), ANSWER_MS);
    });
    link.publish({ subject: stream.subject, reply, payload, headers });
    const answer = await answered;
    clearTimeout(timer);
    waiting.delete(reply);
    return answer;
  }

  /** Entries from a sequence number on, at most `BATCH`, and how many come after them. */
  async function readBatch(
    from: number,
  ): Promise<{ readonly entries: readonly Uint8Array[]; readonly next: number | undefined }> {
    count += 1;
    const reply = `${prefix}.${count}`;
    const entries: Uint8Array[] = [];
    let last = from - 1;
    return new Promise((resolve, reject) => {
      const end = (result: () => void) => {
        clearTimeout(timer);
        waiting.delete(reply);
        result();
      };
      const late = () => end(() => reject(new Error('the broker did not return the ledger')));
      let timer = setTimeout(late, ANSWER_MS);
      waiting.set(reply, (message) => {
        if (message === undefined) return;
        if (message.status === 404) {
          end(() => resolve({ entries, next: undefined }));
          return;
        }
        if (message.status === 204) {
          const more = Number(headerOf(message, 'Nats-Num-Pending') ?? '0') > 0;
          end(() => resolve({ entries, next: more ? last + 1 : undefined }));
          return;
        }
        if (message.status !== 0) {
          end(() =>
            reject(new Error(`the broker refused to return the ledger: ${message.status}`)),
          );
          return;
        }
        last = Number(headerOf(message, 'Nats-Sequence'));
        entries.push(message.data);
        clearTimeout(timer);
        timer = setTimeout(late, ANSWER_MS);
      });
      link.publish({
        subject: `$JS.API.DIRECT.GET.${stream.name}`,
        reply,
        payload: Buffer.from(
          JSON.stringify({ seq: from, batch: BATCH, next_by_subj: stream.subject }),
        ),
      });
    });
  }

  /** Its sequence number; `undefined` when it is not known to be stored. */
  async function appendOne(entry: Entry, after: number | undefined): Promise<number | undefined> {
    const headers: HeaderPairs = [
      ['Nats-Msg-Id', entry.id],
      ...(after === undefined ? [] : [['Nats-Expected-Last-Sequence', String(after)] as const]),
    ];
    const answer = await ask(entry.bytes, headers);
    return answer === undefined ? undefined : storedAt(answer, stream.name);
  }

  async function appendAll(entries: readonly Entry[]): Promise<number> {
    const last = end ?? 0;
    const stored = await Promise.all(entries.map((entry, index) => appendOne(entry, last + index)));
    const lost = stored.indexOf(undefined);
    end = lost === -1 ? last + entries.length : undefined;
    return lost === -1 ? entries.length : lost;
  }

  return {
    async append(entries) {
      const [first, ...rest] = entries;
      if (first === undefined) return 0;
      // Where the stream ends is not known at the start and after a failure: one entry tells.
      if (end === undefined) {
        const at = await appendOne(first, undefined);
        if (at === undefined) return 0;
        end = at;
        return 1 + (await appendAll(rest));
      }
      return appendAll(entries);
    },
    async *read(index = 0) {
      // Sequence numbers start at 1, and an entry stored twice only moves later ones up.
      let next: number | undefined = index + 1;
      while (next !== undefined) {
        const batch = await readBatch(next);
        yield* batch.entries;
        next = batch.next;
      }
    },
  };
}
