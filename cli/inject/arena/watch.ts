import { z } from 'zod';
import { fromBytes } from '#agents/json.ts';
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

/** Everything that the ledger of a running swarm takes in from now on. */
export interface Watch {
  /** Resolves with the first of `pick` that is one, of what came since the watch began. */
  first<T>(pick: (news: News) => T | undefined, signal: AbortSignal): Promise<T>;
  record(id: RecordId): RecordEntry | undefined;
  /** What came of a record and what that came of, as far back as the watch goes; itself first. */
  ancestry(id: RecordId): readonly RecordEntry[];
  close(): void;
}

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
    first: (pick, signal) =>
      new Promise((resolve) => {
        const look = (one: News): boolean => {
          const found = pick(one);
          if (found === undefined) return false;
          listeners.delete(look);
          resolve(found);
          return true;
        };
        if (news.some(look)) return;
        listeners.add(look);
        signal.addEventListener('abort', () => listeners.delete(look));
      }),
    record: (id) => records.get(id),
    ancestry: (id) => {
      const found = new Map<string, RecordEntry>();
      const waiting: string[] = [id];
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const entry = records.get(next);
        if (entry === undefined || found.has(next)) continue;
        found.set(next, entry);
        waiting.push(...entry.record.claims.par);
      }
      return [...found.values()];
    },
    close: () => ended.abort(),
  };
}

/** Is it a sensor's own reading with this mark: the time that it claims? */
export function isMarked(entry: RecordEntry, at: string): boolean {
  if (entry.record.claims.knd !== 'root' || entry.payload === undefined) return false;
  const reading = fromBytes(entry.payload);
  return typeof reading === 'object' && reading !== null && 'at' in reading && reading.at === at;
}
