import { encodeAck } from '#custody/ack.ts';
import { audienceKey } from '#custody/record/audience.ts';
import type { RecordClaims, SignedRecord } from '#custody/record.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { Member } from '../directory.ts';
import { ackSubject } from '../subjects.ts';
import { recordHeaders } from './envelope.ts';
import type { BusLink } from './link.ts';
import type { Signing } from './signing.ts';

/** Of one session of a sender to one audience: `rsq` counts so. */
interface Progress {
  readonly sender: Member;
  readonly sid: string;
  readonly aud: readonly string[];
  through: number;
  /** `rsq` → when it was rejected. Repeated for a while: an acknowledgement can be lost. */
  readonly rejected: Map<number, number>;
  dirty: boolean;
  /** Since the last acknowledgement. */
  fresh: number;
}

/** Collects what was received and tells each sender a few times a second, cumulatively. */
export interface Acknowledger {
  /** Handed over. `gap` records before it were missed and will not be accepted any more. */
  accepted(sender: Member, claims: RecordClaims, gap: number): void;
  /** Refused or not handed over, though its signer is proven. */
  rejected(sender: Member, claims: RecordClaims, gap: number): void;
  /** It came again: its sender has not heard of its acknowledgement. */
  repeated(claims: RecordClaims): void;
  /** Signs and publishes what is new. */
  flush(): void;
  /** Everything again: acknowledgements may have been lost. */
  repeat(): void;
}

const REPEAT_REJECTED_MS = 40_000;
const MAX_REJECTED = 512;
/** Messages of one sender after which it is told at once. */
const ACK_AFTER = 128;
/** Of a session met in the middle only this many earlier ones can still be outstanding. */
const MAX_GAP = 256;
/** Sessions times audiences of one sender: who makes up more pushes out only its own. */
const MAX_PER_SENDER = 64;

const counterOf = ({ sid, aud }: RecordClaims): string => `${sid} ${audienceKey(aud)}`;

export function createAcknowledger(options: {
  readonly link: BusLink;
  readonly self: Member;
  readonly session: string;
  readonly signing: Pick<Signing, 'soon'>;
  readonly submit: (record: SignedRecord, payload: Uint8Array) => Promise<void>;
  readonly clock: () => number;
}): Acknowledger {
  const { link, self, clock } = options;
  const senders = new Map<SpiffeId, Map<string, Progress>>();

  function progressOf(sender: Member, claims: RecordClaims): Progress {
    const counters = senders.get(sender.id) ?? new Map<string, Progress>();
    senders.set(sender.id, counters);
    const key = counterOf(claims);
    const { sid, aud } = claims;
    const progress = counters.get(key) ?? {
      sender,
      sid,
      aud,
      through: 0,
      rejected: new Map(),
      dirty: false,
      fresh: 0,
    };
    // The longest unused is forgotten first.
    if (!counters.delete(key) && counters.size >= MAX_PER_SENDER) {
      const oldest = counters.keys().next();
      if (!oldest.done) counters.delete(oldest.value);
    }
    counters.set(key, progress);
    return progress;
  }

  function* all(): Iterable<Progress> {
    for (const counters of senders.values()) yield* counters.values();
  }

  function advance(progress: Progress, rsq: number, gap: number): void {
    const now = clock();
    for (let missed = rsq - Math.min(gap, MAX_GAP); missed < rsq; missed += 1) {
      progress.rejected.set(missed, now);
    }
    progress.through = Math.max(progress.through, rsq);
    progress.dirty = true;
    progress.fresh += 1;
  }

  /** Sooner than the clock says: a fast sender has places for twice as many. */
  function publishEarly(progress: Progress): void {
    if (progress.fresh >= ACK_AFTER && link.connected()) publish(progress);
  }

  function publish(progress: Progress): void {
    const now = clock();
    for (const [rsq, at] of progress.rejected) {
      if (now - at > REPEAT_REJECTED_MS) progress.rejected.delete(rsq);
    }
    const rejected = [...progress.rejected.keys()].sort((a, b) => a - b).slice(-MAX_REJECTED);
    const payload = encodeAck({
      type: 'ack',
      to: progress.sender.id,
      sid: progress.sid,
      aud: progress.aud,
      through: progress.through,
      session: options.session,
      ...(rejected.length === 0 ? {} : { rejected }),
    });
    const subject = ackSubject(self, progress.sender);
    const draft = { aud: [progress.sender.id], sbj: subject, knd: 'ack', payload } as const;
    const use = (record: SignedRecord): void => {
      const headers = recordHeaders(record, { chain: true });
      // The ledger's copy leaves first: a sender that was told forgets, and sends no more for it.
      void options
        .submit(record, payload)
        .then(() => link.publish({ subject, payload, headers }))
        .catch(() => undefined);
    };
    progress.dirty = false;
    progress.fresh = 0;
    void options.signing.soon(draft, use).catch(() => {
      // No SVID now: it is told with the next one.
      progress.dirty = true;
    });
  }

  return {
    accepted(sender, claims, gap) {
      const progress = progressOf(sender, claims);
      advance(progress, claims.rsq, gap);
      progress.rejected.delete(claims.rsq);
      publishEarly(progress);
    },
    rejected(sender, claims, gap) {
      const progress = progressOf(sender, claims);
      advance(progress, claims.rsq, gap);
      progress.rejected.set(claims.rsq, clock());
      publishEarly(progress);
    },
    repeated(claims) {
      const progress = senders.get(claims.iss)?.get(counterOf(claims));
      if (progress !== undefined && claims.rsq <= progress.through) progress.dirty = true;
    },
    flush() {
      if (!link.connected()) return;
      for (const progress of all()) {
        if (progress.dirty) publish(progress);
      }
    },
    repeat() {
      for (const progress of all()) progress.dirty = progress.through > 0;
    },
  };
}
