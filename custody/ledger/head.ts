import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { HeadCode, LedgerCode } from '../codes.ts';
import {
  addCosignature,
  type LogPolicy,
  openCheckpoint,
  signCheckpoint,
  witnessedAt,
} from '../log/checkpoint.ts';
import { createCollector, type WitnessDoubt, type WitnessPeer } from '../log/collect.ts';
import { sameHash } from '../log/hash.ts';
import type { NoteSigner, VerifierKey } from '../log/keys.ts';
import { createMemoryHashStore, createMerkleTree } from '../log/merkle.ts';
import type { LedgerEntry } from './entry.ts';
import { leafOf, leafText } from './leaf.ts';

/** A tree head that a quorum of the witnesses has cosigned. */
export interface LedgerHead {
  readonly size: number;
  readonly note: string;
  /** Trusted time, seconds. */
  readonly time: number;
}

type Advanced = Outcome<LedgerHead, HeadCode | Extract<LedgerCode, 'LEDGER_STORAGE_FAILED'>>;

/** That an entry is in a witnessed tree. */
export interface EntryProof {
  readonly index: number;
  /** The entry's leaf, as the tree hashes it. */
  readonly leaf: string;
  readonly path: readonly Uint8Array[];
  readonly checkpoint: string;
}

export interface LogHeads {
  /** The newest witnessed head, of the time at which it was last cosigned. */
  newest(): LedgerHead | undefined;
  /**
   * Signs the tree of all durable entries, has it cosigned and stores it where its size is new.
   * One at a time: who calls meanwhile gets the next one.
   */
  advance(): Promise<Advanced>;
  /** Entries that are durable and in no witnessed tree yet. */
  behind(): number;
  /** In the newest witnessed tree; `undefined` when the entry is not in it. */
  proof(index: number): EntryProof | undefined;
  /** Witnesses that did not cosign the last head, and why. */
  doubts(): readonly WitnessDoubt[];
  /**
   * Takes the stored checkpoints in, oldest first, before the first `advance`. Refuses where the
   * entries are not those that were signed for.
   */
  restore(notes: readonly string[]): Outcome<number, 'LEDGER_REWRITTEN' | 'LEDGER_TRUNCATED'>;
}

export interface LogHeadsOptions {
  /** Every entry, in order; its first `durable()` are in storage. */
  readonly entries: readonly LedgerEntry[];
  readonly durable: () => number;
  readonly signer: NoteSigner;
  /** Its own keys that stored checkpoints may bear; the one it signs with among them. */
  readonly logKeys: readonly VerifierKey[];
  readonly policy: LogPolicy;
  readonly witnesses: readonly WitnessPeer[];
  /** Resolves true when the note is durable. */
  readonly store: (note: string) => Promise<boolean>;
}

/** The ledger's tree over what is durable, and its heads. The tree is rebuilt from the entries. */
export function createLogHeads(options: LogHeadsOptions): LogHeads {
  const { entries, durable, signer, policy, store } = options;
  const { origin } = policy;
  const tree = createMerkleTree(createMemoryHashStore());
  const collector = createCollector(options.witnesses);
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

  async function step(): Promise<Advanced> {
    grow();
    const size = tree.size();
    const unwitnessed = signCheckpoint({ origin, size, root: tree.root(size) }, signer);
    const collected = await collector.collect({
      note: unwitnessed,
      size,
      valid: (line) => {
        const opened = openCheckpoint(addCosignature(unwitnessed, line), policy);
        return opened.ok && opened.value.cosignatures.length > 0;
      },
      consistency: (oldSize) => tree.consistency(oldSize, size),
      enough: (note) => witnessed(note) !== undefined,
    });
    doubts = collected.doubts;
    const { note } = collected;
    const time = witnessed(note);
    if (time === undefined) {
      const why = doubts.map(({ name, code }) => `${name}: ${code}`).join(', ');
      return refuse(
        'LEDGER_UNWITNESSED',
        `${size} entries are not cosigned (${why || 'no answer'})`,
      );
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
        const opened = openCheckpoint(note, { origin, log: options.logKeys, witnesses: [] });
        if (!opened.ok) {
          return refuse(
            'LEDGER_REWRITTEN',
            `a stored checkpoint is not this ledger's: ${opened.detail}`,
          );
        }
        const { size, root } = opened.value;
        // One that was stored twice, its answer lost, is one.
        if (size < last) return refuse('LEDGER_REWRITTEN', 'stored checkpoints are out of order');
        if (size > tree.size()) {
          return refuse(
            'LEDGER_TRUNCATED',
            `storage holds ${tree.size()} entries, and ${size} were signed for`,
          );
        }
        if (!sameHash(root, tree.root(size))) {
          return refuse(
            'LEDGER_REWRITTEN',
            `the first ${size} entries are not those that were signed`,
          );
        }
        last = size;
      }
      stored = last;
      return accept(notes.length);
    },
  };
}
