import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { RecordCode } from '../codes.ts';
import type { RecordClaims } from '../record.ts';
import { audienceKey } from './audience.ts';

export interface SequenceStep {
  /** Records of this sender to this audience that were missed just before this one. */
  readonly gap: number;
  /** First record seen of that session; its gap may lie before the receiver's own start. */
  readonly first: boolean;
}

export interface SequenceTracker {
  /** Ask only after the replay cache: a record twice is a replay, not a regression. */
  advance(claims: RecordClaims): Outcome<SequenceStep, RecordCode>;
}

export interface SequenceTrackerOptions {
  readonly maxSenders?: number;
  /** Sessions times audiences per sender; the longest unused is forgotten first. */
  readonly maxPerSender?: number;
}

/**
 * Follows `rsq` per (sender, session, audience). A sender that opens many sessions pushes out only
 * its own; what is forgotten loses the detection of reordering, while replays stay refused.
 */
export function createSequenceTracker(options: SequenceTrackerOptions = {}): SequenceTracker {
  const { maxSenders = 10_000, maxPerSender = 64 } = options;
  const senders = new Map<SpiffeId, Map<string, number>>();

  return {
    advance({ iss, sid, aud, rsq }) {
      const counters = touch(senders, iss, maxSenders) ?? new Map<string, number>();
      const key = `${sid} ${audienceKey(aud)}`;
      const last = touch(counters, key, maxPerSender);
      if (last !== undefined && rsq <= last) {
        return refuse('RECORD_SEQUENCE_REGRESSED', `rsq ${rsq} came after ${last}`);
      }
      counters.set(key, rsq);
      senders.set(iss, counters);
      return accept({ gap: rsq - 1 - (last ?? 0), first: last === undefined });
    },
  };
}

/** Reads and moves to the young end; makes room for a newcomer at the old end. */
function touch<K, V>(map: Map<K, V>, key: K, most: number): V | undefined {
  const value = map.get(key);
  if (value !== undefined) {
    map.delete(key);
    map.set(key, value);
  } else if (map.size >= most) {
    const oldest = map.keys().next();
    if (!oldest.done) map.delete(oldest.value);
  }
  return value;
}
