import { setTimeout as pause } from 'node:timers/promises';
import type { HeadCode } from '#custody/codes.ts';
import type { EntryProof, LedgerHead, LogHeads } from '#custody/ledger/head.ts';
import type { Ledger } from '#custody/ledger/ledger.ts';
import { isRefuted } from '#custody/ledger/past.ts';
import type { RecordId } from '#custody/record.ts';

/** The heads of a running ledger: one a second while it grows, and at once for who waits for a proof. */
export interface HeadKeeper {
  /**
   * Proves that the ledger holds a record, in a head that was witnessed in the last seconds; waits
   * for the record, its storage and its witnesses. `undefined` when that takes too long.
   */
  prove(id: RecordId, waitMs: number): Promise<EntryProof | undefined>;
  status(): Readonly<Record<string, unknown>>;
  /** Signs for what is there, a last time. */
  close(): Promise<void>;
}

const EVERY_MS = 1000;
/** Without new entries a head is cosigned again, so that its time shows that ledger and witnesses live. */
const REFRESH_SECONDS = 4;
/** Less than who asks for a proof allows: it is under way for a while, and clocks differ. */
const SHOWN_SECONDS = 6;
/** Each head costs every witness a write to its disk; who waits shares one with the others. */
const SHORTEST_MS = 50;
const AGAIN_MS = 200;

export function keepHeads(options: {
  readonly ledger: Pick<Ledger, 'get' | 'durable' | 'grown'>;
  readonly heads: Pick<LogHeads, 'newest' | 'advance' | 'behind' | 'proof' | 'doubts'>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** What a witness has against a head; told once until it has none any more. */
  readonly onDoubt: (code: string, detail: string) => void;
  /** The log is shown to have another past than it has signed for: nothing of it counts any more. */
  readonly onRefuted: (code: HeadCode, detail: string) => void;
}): HeadKeeper {
  const { ledger, heads, clock, onDoubt, onRefuted } = options;
  let told = new Set<string>();
  let last = Number.NEGATIVE_INFINITY;
  let wanted: Promise<void> | undefined;
  let closed = false;

  const age = (head: LedgerHead | undefined): number =>
    head === undefined ? Number.POSITIVE_INFINITY : clock() / 1000 - head.time;

  async function advance(): Promise<boolean> {
    last = performance.now();
    const advanced = await heads.advance();
    if (!advanced.ok && isRefuted(advanced.code)) onRefuted(advanced.code, advanced.detail);
    const now = new Set<string>();
    for (const { name, code, detail } of heads.doubts()) {
      const key = `${code} ${name}`;
      now.add(key);
      if (!told.has(key)) onDoubt(code, `${name}: ${detail}`);
    }
    told = now;
    return advanced.ok;
  }

  /** One for all who ask in the meantime. */
  function soon(): Promise<void> {
    wanted ??= pause(Math.max(0, last + SHORTEST_MS - performance.now())).then(async () => {
      wanted = undefined;
      if (!(await advance())) await pause(AGAIN_MS);
    });
    return wanted;
  }

  function look(): void {
    const old = ledger.durable() > 0 && age(heads.newest()) > REFRESH_SECONDS;
    if (heads.behind() > 0 || old) void soon();
  }
  // Who restarts is waited for.
  look();
  const timer = setInterval(look, EVERY_MS);

  return {
    async prove(id, waitMs) {
      const late = new AbortController();
      const timeout = pause(waitMs, undefined, { signal: late.signal }).catch(() => undefined);
      const until = performance.now() + waitMs;
      try {
        while (!closed) {
          const index = ledger.get(id)?.index;
          const durable = index !== undefined && index < ledger.durable();
          const fresh = age(heads.newest()) <= SHOWN_SECONDS;
          const proof = durable && fresh ? heads.proof(index) : undefined;
          if (proof !== undefined || performance.now() >= until) return proof;
          await Promise.race([timeout, durable ? soon() : ledger.grown()]);
        }
        return undefined;
      } finally {
        late.abort();
      }
    },
    status: () => ({
      witnessed: heads.newest()?.size ?? 0,
      behind: heads.behind(),
      doubts: [...told],
    }),
    async close() {
      closed = true;
      clearInterval(timer);
      if (heads.behind() > 0) await advance();
    },
  };
}
