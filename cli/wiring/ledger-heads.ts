import { setTimeout as pause } from 'node:timers/promises';
import type { EntryProof, LedgerHead, LogHeads } from '#custody/ledger/head.ts';
import type { Ledger } from '#custody/ledger/ledger.ts';
import type { RecordId } from '#custody/record.ts';

/** The heads of a running ledger: one a second while it grows, and at once for who waits for a proof. */
export interface HeadKeeper {
  /**
   * Proves that the ledger holds a record, in a head that is not older than `MAX_HEAD_AGE_SECONDS`;
   * waits for the record, its storage and its witnesses. `undefined` when that takes too long.
   */
  prove(id: RecordId, waitMs: number): Promise<EntryProof | undefined>;
  status(): Readonly<Record<string, unknown>>;
  /** Signs for what is there, a last time. */
  close(): Promise<void>;
}

/** Who acts on a proof asks for one that is not older; so does who watches for a ledger that stopped. */
export const MAX_HEAD_AGE_SECONDS = 10;
const EVERY_MS = 1000;
/** Without new entries a head is cosigned again, so that its time shows that ledger and witnesses live. */
const REFRESH_SECONDS = 4;
/** Each head costs every witness a write to its disk; who waits shares one with the others. */
const SHORTEST_MS = 50;
const AGAIN_MS = 200;
const LOOK_EVERY_MS = 10;

export function keepHeads(options: {
  readonly ledger: Pick<Ledger, 'get' | 'durable'>;
  readonly heads: LogHeads;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** What a witness has against a head; told once until it has none any more. */
  readonly onDoubt: (code: string, detail: string) => void;
}): HeadKeeper {
  const { ledger, heads, clock, onDoubt } = options;
  const told = new Set<string>();
  let last = 0;
  let wanted: Promise<unknown> | undefined;

  const age = (head: LedgerHead | undefined): number =>
    head === undefined ? Number.POSITIVE_INFINITY : clock() / 1000 - head.time;

  async function advance(): Promise<boolean> {
    const advanced = await heads.advance();
    last = performance.now();
    const doubts = heads.doubts().map(({ name, code, detail }) => `${code} ${name}: ${detail}`);
    for (const doubt of doubts.filter((one) => !told.has(one))) {
      const [code = '', ...detail] = doubt.split(' ');
      onDoubt(code, detail.join(' '));
    }
    told.clear();
    for (const doubt of doubts) told.add(doubt);
    return advanced.ok;
  }

  /** One for all who ask in the meantime. */
  function soon(): Promise<unknown> {
    wanted ??= pause(Math.max(0, last + SHORTEST_MS - performance.now())).then(async () => {
      wanted = undefined;
      if (!(await advance())) await pause(AGAIN_MS);
    });
    return wanted;
  }

  const timer = setInterval(() => {
    if (heads.behind() > 0 || age(heads.newest()) > REFRESH_SECONDS) void soon();
  }, EVERY_MS);

  return {
    async prove(id, waitMs) {
      for (const until = performance.now() + waitMs; performance.now() < until; ) {
        const index = ledger.get(id)?.index;
        const durable = index !== undefined && index < ledger.durable();
        const fresh = age(heads.newest()) <= MAX_HEAD_AGE_SECONDS;
        const proof = durable && fresh ? heads.proof(index) : undefined;
        if (proof !== undefined) return proof;
        await (durable ? soon() : pause(LOOK_EVERY_MS));
      }
      return undefined;
    },
    status: () => {
      const newest = heads.newest();
      return { witnessed: newest?.size ?? 0, behind: heads.behind(), doubts: [...told] };
    },
    async close() {
      clearInterval(timer);
      await advance();
    },
  };
}
