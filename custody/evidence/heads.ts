import { accept, type Outcome, type Refused, refuse } from '#identity/outcome.ts';
import {
  type Checkpoint,
  type LogPolicy,
  openCheckpoint,
  parseCheckpoint,
  witnessedAt,
} from '../log/checkpoint.ts';
import type { NoteCode } from '../log/codes.ts';
import { sameHash } from '../log/hash.ts';
import { parseNote } from '../log/note.ts';
import { rootsFromConsistency, verifyConsistency } from '../log/proof.ts';
import { openRollover, type Rollover, readRollover, samePolicy } from '../log/rollover.ts';
import type { EvidenceCode } from './codes.ts';
import type { EvidenceCheckpoint, EvidenceHeader } from './format.ts';
import type { PinnedLog } from './trust.ts';

/** A tree head that log and witnesses stand behind. */
export interface WitnessedHead {
  readonly size: number;
  readonly root: Uint8Array;
  /** Trusted time, seconds. */
  readonly time: number;
}

export type HeadCode = NoteCode | EvidenceCode;

export interface Heads {
  rollover(note: string): Outcome<Rollover, HeadCode>;
  /** A change of keys was proven to be an entry. */
  entered(note: string): void;
  /** Changes that the file goes by and that its range, which should hold them, does not. */
  unlogged(range: NonNullable<EvidenceHeader['range']>): readonly Refused<HeadCode>[];
  add(checkpoint: EvidenceCheckpoint): Outcome<WitnessedHead, HeadCode>;
  /** The head of that size, or why there is none. */
  of(size: number): Outcome<WitnessedHead, HeadCode>;
  /** What the file says is the root of that size; whoever says so. */
  rootOf(size: number): Uint8Array | undefined;
  latest(): WitnessedHead | undefined;
}

/**
 * Follows the heads of one log through a file, under the keys in force at each size. Where nothing
 * is pinned nothing is believed, and what contradicts itself is found all the same.
 */
export function createHeads(pinned: PinnedLog | undefined): Heads {
  const policies: Rollover[] =
    pinned === undefined ? [] : [{ from: 0, policy: pinned }, ...(pinned.changes ?? [])];
  /** Changes in the file, by note, and from which size on they count. */
  const changes = new Map<string, number>();
  const proven = new Set<string>();
  let lastChange = 0;
  const heads = new Map<number, Outcome<WitnessedHead, HeadCode>>();
  const roots = new Map<number, Uint8Array>();
  let last: Checkpoint | undefined;
  let latest: WitnessedHead | undefined;

  const policyAt = (size: number): LogPolicy | undefined =>
    policies.findLast(({ from }) => from <= size)?.policy ?? pinned;
  /** Keys in force before that size; where they stand behind a larger tree, nobody holds them. */
  const isOfRetired = (note: string, size: number): boolean =>
    policies
      .slice(
        0,
        Math.max(
          0,
          policies.findLastIndex(({ from }) => from <= size),
        ),
      )
      .some(({ policy }) => {
        const opened = openCheckpoint(note, policy);
        return opened.ok && witnessedAt(opened.value, policy.quorum).ok;
      });
  const unpinned = () => refuse('EVIDENCE_UNPINNED' as const, 'no key of the ledger is pinned');

  /** From one head of the file to the next: order, and one history. */
  function checkStep(next: Checkpoint, path: readonly Uint8Array[]) {
    if (last === undefined) {
      if (path.length === 0) return undefined;
      return refuse('EVIDENCE_ORDER' as const, 'the first checkpoint follows from none');
    }
    const fork = (detail: string) => refuse('CHECKPOINT_FORK' as const, detail);
    const from = `the checkpoints of ${last.size} and ${next.size}`;
    if (next.size === last.size && !sameHash(next.root, last.root)) {
      return fork(`the log signed two trees of ${next.size} entries`);
    }
    if (next.size <= last.size) {
      return refuse('EVIDENCE_ORDER' as const, `${from} are not in ascending order`);
    }
    const claim = { oldSize: last.size, oldRoot: last.root, size: next.size, path };
    if (verifyConsistency({ ...claim, root: next.root })) return undefined;
    const roots = rootsFromConsistency(claim);
    const proven = roots !== undefined && sameHash(roots.root, next.root);
    return fork(proven ? `${from} have different pasts` : `${from} are not shown to be of one log`);
  }

  /** Takes a head as the next one of the log; or what is wrong with that. */
  function follow(head: Checkpoint, { consistency }: EvidenceCheckpoint) {
    const wrong = checkStep(head, consistency);
    if (wrong !== undefined) return wrong;
    last = head;
    roots.set(head.size, head.root);
    return undefined;
  }

  function open(checkpoint: EvidenceCheckpoint, size: number): Outcome<WitnessedHead, HeadCode> {
    const policy = policyAt(size);
    if (policy === undefined) {
      const read = readHead(checkpoint.note);
      return read.ok ? (follow(read.value, checkpoint) ?? unpinned()) : read;
    }
    const opened = openCheckpoint(checkpoint.note, policy);
    if (!opened.ok) {
      if (opened.code !== 'NOTE_UNSIGNED' || !isOfRetired(checkpoint.note, size)) return opened;
      return refuse('EVIDENCE_KEYS_RETIRED', `a tree of ${size} entries is signed by former keys`);
    }
    const time = witnessedAt(opened.value, policy.quorum);
    const refused = follow(opened.value, checkpoint) ?? time;
    if (!refused.ok) return refused;
    return accept({ size, root: opened.value.root, time: refused.value });
  }

  return {
    rollover(note) {
      const claimed = readRollover(note);
      // Which keys must have agreed: those before it, and of a change that is pinned the same.
      const at = policies.findIndex(({ from }) => claimed.ok && from === claimed.value.from);
      const before = policies.at(at > 0 ? at - 1 : -1);
      if (before === undefined) return unpinned();
      const opened = openRollover(note, before.policy);
      if (!opened.ok) return opened;
      const { from, policy } = opened.value;
      if (from <= (at > 0 ? lastChange : before.from)) {
        return refuse('EVIDENCE_ORDER', 'a change of keys is not after the one before it');
      }
      const known = at > 0 ? policies[at] : undefined;
      if (known !== undefined && !samePolicy(known.policy, policy)) {
        return refuse('ROLLOVER_REFUSED', `other keys are pinned from ${from} entries on`);
      }
      if (known === undefined) policies.push(opened.value);
      lastChange = from;
      changes.set(note, from);
      return opened;
    },
    entered: (note) => {
      if (changes.has(note)) proven.add(note);
    },
    unlogged: (range) =>
      // A head of `from` entries holds the change: it is entered before that head is signed.
      [...changes]
        .filter(([note, from]) => range.from < from && from <= range.to && !proven.has(note))
        .map(([, from]) =>
          refuse(
            'EVIDENCE_ROLLOVER_UNLOGGED',
            `the change of keys from ${from} entries on is no entry of the range`,
          ),
        ),
    add(checkpoint) {
      // What the note says of its size, before it is believed: under it an entry looks for it.
      const text = parseNote(checkpoint.note);
      const size = text.ok ? Number(text.value.text.split('\n')[1]) : Number.NaN;
      const head = open(checkpoint, size);
      // Of two heads of one size the first stays: the second is the fault that was just named.
      if (!heads.has(size)) heads.set(size, head);
      if (head.ok) latest = head.value;
      return head;
    },
    of: (size) =>
      heads.get(size) ??
      refuse('EVIDENCE_CHECKPOINT_MISSING', `there is no checkpoint of ${size} entries`),
    rootOf: (size) => roots.get(size),
    latest: () => latest,
  };
}

/** A head by its text alone. */
function readHead(given: string): Outcome<Checkpoint, HeadCode> {
  const note = parseNote(given);
  return note.ok ? parseCheckpoint(note.value.text) : note;
}
