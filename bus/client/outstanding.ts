import type { AckPayload } from '#custody/ack.ts';
import { audienceKey } from '#custody/record/audience.ts';
import type { RecordId, RecordKind, SignedRecord } from '#custody/record.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { HeaderPairs } from './nats.ts';

/** One message of ours until every receiver has acknowledged it. */
export interface Outstanding {
  readonly kind: string;
  readonly audience: readonly string[];
  readonly causes: readonly RecordId[];
  readonly recordKind: RecordKind;
  readonly payload: Uint8Array;
  readonly remaining: Set<SpiffeId>;
  /** `rsq` of each signature it was given; an acknowledgement of any of them counts. */
  readonly signatures: Set<number>;
  /** Trace context of its first sending: a repetition belongs to the same trace. */
  readonly trace: HeaderPairs;
  /** Milliseconds; when it was first sent. */
  readonly since: number;
  record: SignedRecord;
  /** Milliseconds; when its bytes go again. */
  due: number;
  /** How often they went again because no acknowledgement came in time. */
  repeats: number;
}

export interface AckEffect {
  /** Acknowledged by all: its place is free. */
  readonly done: readonly Outstanding[];
  /** Will never be accepted as signed: sign them again. */
  readonly again: readonly Outstanding[];
}

/**
 * What an acknowledgement means for our outstanding messages to the audience that it counts. Up to
 * `through` each of them was either accepted or is in `rejected` (refused, or missed and too late
 * now); a receiver with a new session has forgotten what it had not acknowledged.
 */
export function applyAck(
  items: Iterable<Outstanding>,
  from: SpiffeId,
  ack: AckPayload,
  renewed: boolean,
): AckEffect {
  const rejected = new Set(ack.rejected ?? []);
  const counted = audienceKey(ack.aud);
  const done: Outstanding[] = [];
  const again: Outstanding[] = [];
  for (const item of items) {
    // Numbers of another audience are those of other messages.
    if (!item.remaining.has(from) || audienceKey(item.audience) !== counted) continue;
    const covered = [...item.signatures].filter((rsq) => rsq <= ack.through);
    if (!renewed && covered.some((rsq) => !rejected.has(rsq))) {
      item.remaining.delete(from);
      if (item.remaining.size === 0) done.push(item);
    } else if (item.record.claims.rsq <= ack.through) {
      // Its newest signature is among the rejected, or went to a process that is no more.
      again.push(item);
    }
  }
  return { done, again };
}
