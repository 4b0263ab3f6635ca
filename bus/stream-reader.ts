import type { BusLink } from './client/link.ts';
import type { HeaderPairs, Incoming } from './client/nats.ts';
import type { Member } from './directory.ts';

export interface StoredMessage {
  readonly sequence: number;
  readonly data: Uint8Array;
}

/** Direct gets from a stream, and other questions to it, over a link that has the right to them. */
export interface StreamReader {
  /** Messages from that sequence number on. @throws Error when the broker does not answer. */
  from(sequence: number): AsyncIterable<StoredMessage>;
  /** @throws as `from` */
  last(): Promise<StoredMessage | undefined>;
  /** The first answer to a message, `undefined` when none comes in time. */
  ask(subject: string, payload: Uint8Array, headers?: HeaderPairs): Promise<Incoming | undefined>;
}

const ANSWER_MS = 3000;
const BATCH = 500;

function headerOf(message: Incoming, wanted: string): string | undefined {
  const { headers } = message;
  if (headers === undefined || headers === 'malformed') return undefined;
  for (const [name, values] of headers) if (name === wanted) return values[0];
  return undefined;
}

function storedMessage(message: Incoming): StoredMessage {
  return { sequence: Number(headerOf(message, 'Nats-Sequence')), data: message.data };
}

export function createStreamReader(options: {
  readonly link: BusLink;
  readonly self: Member;
  readonly stream: { readonly name: string; readonly subject: string };
  /** A token that no other process uses: an answer to one that is gone must not count here. */
  readonly nonce: string;
}): StreamReader {
  const { link, self, stream, nonce } = options;
  const prefix = `_INBOX.${self.token}._js.${stream.name}`;
  const get = `$JS.API.DIRECT.GET.${stream.name}`;
  const waiting = new Map<string, (message: Incoming) => void>();
  let count = 0;
  // `_js` is no service, so nobody but the server can answer here.
  link.subscribe(`${prefix}.*`, undefined, (message) => waiting.get(message.subject)?.(message));

  async function ask(
    subject: string,
    payload: Uint8Array,
    headers?: HeaderPairs,
  ): Promise<Incoming | undefined> {
    count += 1;
    const reply = `${prefix}.${nonce}-${count}`;
    const { promise, resolve } = Promise.withResolvers<Incoming | undefined>();
    waiting.set(reply, resolve);
    const timer = setTimeout(() => resolve(undefined), ANSWER_MS);
    link.publish({ subject, reply, payload, ...(headers && { headers }) });
    const answer = await promise;
    clearTimeout(timer);
    waiting.delete(reply);
    return answer;
  }

  const refused = (status: number): Error =>
    new Error(`the broker refused to return ${stream.name}: ${status}`);
  const silent = (): Error => new Error(`the broker did not return ${stream.name}`);

  /** At most `BATCH` messages, and how many come after them. */
  function readBatch(from: number): Promise<{
    readonly messages: readonly StoredMessage[];
    readonly next: number | undefined;
  }> {
    count += 1;
    const reply = `${prefix}.${nonce}-${count}`;
    const messages: StoredMessage[] = [];
    return new Promise((resolve, reject) => {
      const end = (result: () => void) => {
        clearTimeout(timer);
        waiting.delete(reply);
        result();
      };
      const late = () => end(() => reject(silent()));
      let timer = setTimeout(late, ANSWER_MS);
      waiting.set(reply, (message) => {
        if (message.status === 404) {
          end(() => resolve({ messages, next: undefined }));
          return;
        }
        if (message.status === 204) {
          const more = Number(headerOf(message, 'Nats-Num-Pending') ?? '0') > 0;
          const last = messages.at(-1)?.sequence ?? from - 1;
          end(() => resolve({ messages, next: more ? last + 1 : undefined }));
          return;
        }
        if (message.status !== 0) {
          end(() => reject(refused(message.status)));
          return;
        }
        messages.push(storedMessage(message));
        clearTimeout(timer);
        timer = setTimeout(late, ANSWER_MS);
      });
      const question = { seq: from, batch: BATCH, next_by_subj: stream.subject };
      link.publish({ subject: get, reply, payload: Buffer.from(JSON.stringify(question)) });
    });
  }

  return {
    ask,
    async *from(sequence) {
      let next: number | undefined = sequence;
      while (next !== undefined) {
        const batch = await readBatch(next);
        yield* batch.messages;
        next = batch.next;
      }
    },
    async last() {
      const question = JSON.stringify({ last_by_subj: stream.subject });
      const message = await ask(get, Buffer.from(question));
      if (message === undefined) throw silent();
      if (message.status === 404) return undefined;
      if (message.status !== 0) throw refused(message.status);
      return storedMessage(message);
    },
  };
}
