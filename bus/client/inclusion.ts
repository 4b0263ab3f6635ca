import type { RecordId } from '#custody/record.ts';
import type { Outcome } from '#identity/outcome.ts';

/** Resolves when the ledger has proven, by a witnessed tree head, that it holds the record. */
export type ProveInclusion = (id: RecordId) => Promise<Outcome<unknown>>;

/** Asks the ledger now and then to prove one of the own records for which it gave a receipt. */
export interface InclusionWatch {
  /** The ledger gave a receipt for this record. */
  receipted(id: RecordId): void;
  /** Asks one question, if there is anything new to ask about and the one before is answered. */
  ask(): Promise<void>;
  /** Why the last question had no proof; absent when it had one. */
  missing(): string | undefined;
}

/** Of those that are remembered each is as likely to be asked about: old ones, too. */
const MAX_REMEMBERED = 256;

/**
 * Which record is asked about is drawn, so that a ledger that leaves some out cannot know which. A
 * question is itself a record: while nothing is said, nothing is asked.
 */
export function createInclusionWatch(options: {
  readonly prove: ProveInclusion;
  /** From 0 (inclusive) to 1. */
  readonly random: () => number;
  readonly limitMs: number;
}): InclusionWatch {
  const { prove, random, limitMs } = options;
  const remembered: RecordId[] = [];
  let seen = 0;
  let fresh = false;
  let asking = false;
  let failed: { readonly id: RecordId; readonly why: string } | undefined;

  async function answerTo(id: RecordId): Promise<string | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`no proof within ${limitMs / 1000} s`), limitMs);
    });
    const proven = prove(id).then(
      (outcome) => (outcome.ok ? undefined : `${outcome.code}: ${outcome.detail}`),
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    const why = await Promise.race([proven, late]);
    clearTimeout(timer);
    return why;
  }

  return {
    receipted(id) {
      fresh = true;
      seen += 1;
      if (remembered.length < MAX_REMEMBERED) remembered.push(id);
      else {
        const at = Math.floor(random() * seen);
        if (at < MAX_REMEMBERED) remembered[at] = id;
      }
    },
    async ask() {
      // One that was not proven is asked about until it is.
      const id = failed?.id ?? remembered[Math.floor(random() * remembered.length)];
      if (asking || id === undefined || !(fresh || failed !== undefined)) return;
      asking = true;
      fresh = false;
      const why = await answerTo(id);
      failed = why === undefined ? undefined : { id, why };
      asking = false;
    },
    missing: () => (failed === undefined ? undefined : `record ${failed.id}: ${failed.why}`),
  };
}
