import { z } from 'zod';
import { decodeEntry, type LedgerEntry, type RecordEntry } from '#custody/ledger/entry.ts';
import type { RecordId } from '#custody/record.ts';
import { askControl, type ControlAddress } from '#runtime/control/client.ts';
import type { Instant } from '#scenarios/arena.ts';
import { UserError } from '../../output.ts';

const part = z.union([
  z.object({ size: z.number() }),
  z.object({ entry: z.string() }),
  z.object({
    refused: z.object({ code: z.string(), presented_by: z.string(), subject: z.string() }),
  }),
]);

/** What no door makes, told when it happens; the ledger has it about a second later. */
export type Early = Extract<z.infer<typeof part>, { refused: unknown }>['refused'];

export type News =
  | { readonly kind: 'entry'; readonly at: Instant; readonly entry: LedgerEntry }
  | { readonly kind: 'early'; readonly at: Instant; readonly refused: Early };

/**
 * What `pick` says of news whose causes have not come yet: each sender hands in its own records, so
 * an answer may be in the ledger before the request, and an order before its finding.
 */
export const LATER = Symbol('later');

/** Everything that the ledger of a running swarm takes in from now on. */
export interface Watch {
  /** Resolves with the first of `pick` that is one, of what came since the watch began. */
  first<T>(pick: (news: News) => T | typeof LATER | undefined, signal: AbortSignal): Promise<T>;
  /** What came of a record and what that came of, as far back as the watch goes; itself first. */
  ancestry(id: RecordId): readonly RecordEntry[];
  /** Is a record there, with all that it came of? */
  complete(id: RecordId): boolean;
  close(): void;
}

const MAX_OPEN = 256;

export async function watchSwarm(address: ControlAddress): Promise<Watch> {
  const news: News[] = [];
  const records = new Map<string, RecordEntry>();
  const listeners = new Set<(one: News) => void>();
  const ended = new AbortController();
  const ready = Promise.withResolvers<void>();
  const take = (value: unknown): void => {
    const at = process.hrtime.bigint();
    const parsed = part.safeParse(value);
    if (!parsed.success) return;
    if ('size' in parsed.data) {
      ready.resolve();
      return;
    }
    let one: News;
    if ('entry' in parsed.data) {
      const entry = decodeEntry(Buffer.from(parsed.data.entry, 'utf8'));
      if (!entry.ok) return;
      one = { kind: 'entry', at, entry: entry.value };
      if (entry.value.type === 'record') records.set(entry.value.record.id, entry.value);
    } else {
      one = { kind: 'early', at, refused: parsed.data.refused };
    }
    news.push(one);
    for (const listener of listeners) listener(one);
  };
  const asked = askControl(address, 'follow', {}, take, ended.signal);
  void asked.then((answer) => {
    if (!answer.ok) ready.reject(new UserError(answer.detail));
  });
  await ready.promise;
  return {
    first: <T>(pick: (news: News) => T | typeof LATER | undefined, signal: AbortSignal) =>
      new Promise<T>((resolve) => {
        const open = new Set<News>();
        const decided = (one: News): boolean => {
          const found = pick(one);
          if (found === LATER) {
            open.add(one);
            // What has waited longest for its causes came of something before this watch.
            const [oldest] = open;
            if (open.size > MAX_OPEN && oldest !== undefined) open.delete(oldest);
            return false;
          }
          open.delete(one);
          if (found === undefined) return false;
          listeners.delete(look);
          resolve(found);
          return true;
        };
        const look = (one: News): boolean => [...open].some(decided) || decided(one);
        if (news.some(look)) return;
        listeners.add(look);
        signal.addEventListener('abort', () => listeners.delete(look));
      }),
    ancestry: (id) => traced(records, id).found,
    complete: (id) => traced(records, id).missing === 0,
    close: () => ended.abort(),
  };
}

/** A record and all that it came of, as far as it is there; `missing`: causes that are not. */
function traced(records: ReadonlyMap<string, RecordEntry>, id: string) {
  const found = new Map<string, RecordEntry>();
  const absent = new Set<string>();
  const waiting: string[] = [id];
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const entry = records.get(next);
    if (entry === undefined) absent.add(next);
    if (entry === undefined || found.has(next)) continue;
    found.set(next, entry);
    waiting.push(...entry.record.claims.par);
  }
  return { found: [...found.values()], missing: absent.size };
}
