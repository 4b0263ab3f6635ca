import { accept, type Outcome, type Refused, refuse } from '#identity/outcome.ts';
import type { HeadCode } from '../codes.ts';
import {
  addCosignature,
  type LogPolicy,
  openCheckpoint,
  signCheckpoint,
  witnessedAt,
} from '../log/checkpoint.ts';
import { createCollector, type WitnessDoubt, type WitnessPeer } from '../log/collect.ts';
import type { NoteSigner, VerifierKey } from '../log/keys.ts';
import { createMemoryHashStore, createMerkleTree } from '../log/merkle.ts';
import type { LedgerEntry } from './entry.ts';
import { leafOf, leafText } from './leaf.ts';
import { isRefuted, judgePast, type PastCode } from './past.ts';

/** A tree head that a quorum of the witnesses has cosigned. */
export interface LedgerHead {
  readonly size: number;
  readonly note: string;
  /** Trusted time, seconds. */
  readonly time: number;
}

/** That an entry is in a witnessed tree. */
export interface EntryProof {
  readonly index: number;
  /** The entry's leaf, as the tree hashes it. */
  readonly leaf: string;
  readonly path: readonly Uint8Array[];
  readonly checkpoint: string;
}

/** A witness that also says what it remembers; it never rejects, and answers in a bounded time. */
export interface RememberingWitness extends WitnessPeer {
  /** The note that it cosigned last, if any; `undefined` when it does not say. Foreign input. */
  last(origin: string): Promise<{ readonly note?: string } | undefined>;
}

type Advanced = Outcome<LedgerHead, HeadCode | 'LEDGER_STORAGE_FAILED'>;

export interface LogHeads {
  /** The newest witnessed head, of the time at which it was last cosigned. */
  newest(): LedgerHead | undefined;
  /**
   * Signs the tree of all durable entries, has it cosigned and stores it where its size is new.
   * One at a time: who calls meanwhile gets the next one. With `LEDGER_REWRITTEN` and
   * `LEDGER_TRUNCATED` the ledger is shown to have changed its past, and must stop.
   */
  advance(): Promise<Advanced>;
  /** Entries that are durable and in no witnessed tree yet. */
  behind(): number;
  /** In the newest witnessed tree; `undefined` when the entry is not in it. */
  proof(index: number): EntryProof | undefined;
  /** Witnesses that did not cosign the last head, and why. */
  doubts(): readonly WitnessDoubt[];
  /**
   * Takes stored checkpoints in, oldest first, the last one at least, before the first `advance`.
   * Refuses where the entries are not those that were signed for.
   */
  restore(notes: readonly string[]): Outcome<number, PastCode>;
  /**
   * Compares the log with what its witnesses remember of it, and accepts when it is the same with so
   * many that every quorum has one of them among it. Before that nothing is signed: where entries
   * and checkpoints were cut back alike, this process would sign a second history by itself.
   */
  compare(): Promise<Outcome<unknown, HeadCode>>;
}

export interface LogHeadsOptions {
  /** Every entry, in order; its first `durable()` are in storage. */
  readonly entries: readonly LedgerEntry[];
  readonly durable: () => number;
  readonly signer: NoteSigner;
  /** Its own keys that stored checkpoints may bear; the one it signs with among them. */
  readonly logKeys: readonly VerifierKey[];
  readonly policy: LogPolicy;
  /** Those of the policy, each once. */
  readonly witnesses: readonly RememberingWitness[];
  /** Resolves true when the note is durable. */
  readonly store: (note: string) => Promise<boolean>;
}

/** The ledger's tree over what is durable, and its heads. The tree is rebuilt from the entries. */
export function createLogHeads(options: LogHeadsOptions): LogHeads {
  const { entries, durable, signer, policy, store, witnesses, logKeys } = options;
  const { origin } = policy;
  const tree = createMerkleTree(createMemoryHashStore());
  const collector = createCollector(witnesses);
  /** With so many, every quorum has one among it. */
  const needed = policy.witnesses.length - policy.quorum + 1;
  /** Witnesses whose memory has not been compared since they last contradicted. */
  const unheard = new Set(witnesses);
  let heard = 0;
  let comparing = false;
  let refuted: Refused<PastCode> | undefined;
  let newest: LedgerHead | undefined;
  let doubts: readonly WitnessDoubt[] = [];
  /** Size of the last note in storage. */
  let stored = -1;
  let running: Promise<Advanced> | undefined;
  let next: Promise<Advanced> | undefined;

  function grow(): void {
    for (let index = tree.size(); index < durable(); index += 1) {
      const entry = entries[index];
      if (entry === undefined) throw new Error(`ledger: no entry ${index}`);
      tree.append(leafText(leafOf(entry)));
    }
  }

  function witnessed(note: string): number | undefined {
    const opened = openCheckpoint(note, policy);
    const time = opened.ok ? witnessedAt(opened.value, policy.quorum) : opened;
    return time.ok ? time.value : undefined;
  }

  const unheardOf = () =>
    refuse('LEDGER_UNWITNESSED', `${heard} of ${needed} witnesses said what they remember`);

  async function compare(): Promise<Outcome<unknown, HeadCode>> {
    const asked = [...unheard];
    const answers = await Promise.all(asked.map((witness) => witness.last(origin)));
    grow();
    for (const [index, witness] of asked.entries()) {
      const answer = answers[index];
      if (answer === undefined) continue;
      const past =
        answer.note === undefined ? undefined : judgePast(answer.note, { origin, logKeys, tree });
      if (past?.ok === false && isRefuted(past.code)) {
        refuted = refuse(past.code, `${past.detail}, as ${witness.name} shows`);
        return refuted;
      }
      // A note that the log has not signed accuses nobody; its keeper is not heard.
      if (past?.ok !== false) unheard.delete(witness);
    }
    heard = Math.max(heard, witnesses.length - unheard.size);
    if (heard >= needed) return accept({});
    return unheardOf();
  }

  async function collect(size: number) {
    const unwitnessed = signCheckpoint({ origin, size, root: tree.root(size) }, signer);
    return await collector.collect({
      note: unwitnessed,
      size,
      valid: (line) => {
        const opened = openCheckpoint(addCosignature(unwitnessed, line), policy);
        return opened.ok && opened.value.cosignatures.length > 0;
      },
      consistency: (oldSize) => tree.consistency(oldSize, size),
      enough: (note) => witnessed(note) !== undefined,
    });
  }

  /**
   * What a witness has against the log counts when it can show it in the log's own hand. Nobody
   * waits for that: a liar could hold up every head with it.
   */
  function follow(): void {
    const contradicting = new Set(
      doubts
        .filter(({ code, ahead }) => ahead !== undefined || code === 'WITNESS_FORK')
        .map(({ name }) => name),
    );
    if (contradicting.size === 0 || comparing) return;
    for (const witness of witnesses) if (contradicting.has(witness.name)) unheard.add(witness);
    comparing = true;
    void compare().finally(() => {
      comparing = false;
    });
  }

  async function step(): Promise<Advanced> {
    if (heard < needed) await compare();
    if (refuted !== undefined) return refuted;
    if (heard < needed) return unheardOf();
    grow();
    const size = tree.size();
    const collected = await collect(size);
    doubts = collected.doubts;
    follow();
    const { note } = collected;
    const time = witnessed(note);
    if (time === undefined) {
      const why = doubts.map(({ name, code }) => `${name}: ${code}`).join(', ') || 'no answer';
      return refuse('LEDGER_UNWITNESSED', `${size} entries are not cosigned (${why})`);
    }
    if (size > stored) {
      if (!(await store(note))) {
        return refuse('LEDGER_STORAGE_FAILED', 'the checkpoint could not be stored');
      }
      stored = size;
    }
    newest = { size, note, time };
    return accept(newest);
  }

  function advance(): Promise<Advanced> {
    if (running !== undefined) {
      // What runs may have begun before the caller's entry was there: it waits for the next.
      next ??= running.then(() => {
        next = undefined;
        return advance();
      });
      return next;
    }
    running = step().finally(() => {
      running = undefined;
    });
    return running;
  }

  return {
    newest: () => newest,
    advance,
    compare,
    behind: () => durable() - (newest?.size ?? 0),
    doubts: () => doubts,
    proof(index) {
      const entry = entries[index];
      if (newest === undefined || entry === undefined || index >= newest.size) return undefined;
      return {
        index,
        leaf: leafText(leafOf(entry)),
        path: tree.inclusion(index, newest.size),
        checkpoint: newest.note,
      };
    },
    restore(notes) {
      grow();
      let last = -1;
      for (const note of notes) {
        const past = judgePast(note, { origin, logKeys, tree });
        if (!past.ok) {
          if (isRefuted(past.code)) return refuse(past.code, past.detail);
          return refuse(
            'LEDGER_REWRITTEN',
            `a stored checkpoint is not this ledger's: ${past.detail}`,
          );
        }
        // One that was stored twice, its answer lost, is one.
        if (past.value < last) {
          return refuse('LEDGER_REWRITTEN', 'stored checkpoints are out of order');
        }
        last = past.value;
      }
      stored = last;
      return accept(notes.length);
    },
  };
}
