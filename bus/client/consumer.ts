import type { RecordId } from '#custody/record.ts';
import type { Member } from '../directory.ts';
import type { Channel, DoorRefusal } from '../door.ts';
import { deliverySubject } from '../subjects.ts';
import { CHANNELS, type ProcessHop } from '../telemetry.ts';
import type { Verified } from '../verified.ts';
import type { Acknowledger } from './acknowledger.ts';
import { type Propagate, underTrace } from './envelope.ts';
import type { GapWatch } from './gaps.ts';
import type { BusLink } from './link.ts';
import type { Incoming } from './nats.ts';

export interface ConsumeOptions {
  readonly kind: string;
  /**
   * Resolves when the message is safely handed over: then it is acknowledged. A rejection leaves
   * it with its sender, who signs it again.
   */
  readonly handler: (message: Verified<Uint8Array>) => Promise<void> | void;
  /** The application's own id of a payload: one that was handed over is not handed over again. */
  readonly idOf?: (payload: Uint8Array) => string | undefined;
}

export interface Consumer {
  status(): {
    readonly accepted: number;
    readonly duplicates: number;
    readonly failed: number;
    readonly missed: number;
  };
  /** Handles what has arrived, then stops. */
  close(): Promise<void>;
}

const MAX_REMEMBERED = 20_000;
const MAX_WAITING = 20_000;

/** Remembers the youngest; what is older has long expired as a record. */
function remember(seen: Set<string>, key: string): void {
  seen.add(key);
  if (seen.size <= MAX_REMEMBERED) return;
  const oldest = seen.values().next();
  if (!oldest.done) seen.delete(oldest.value);
}

/** Messages of one kind, in order: door, deduplication, handler, acknowledgement. */
export function createConsumer(
  options: ConsumeOptions & {
    readonly link: BusLink;
    readonly self: Member;
    readonly channel: Channel;
    readonly member: (id: string) => Member | undefined;
    readonly acknowledger: Acknowledger;
    readonly gaps: Pick<GapWatch, 'came' | 'refused'>;
    readonly onRefusal: (refusal: DoorRefusal) => void;
    readonly propagate?: Propagate | undefined;
  },
): Consumer {
  const { link, self, channel, acknowledger } = options;
  const waiting: Incoming[] = [];
  const records = new Set<string>();
  const ids = new Set<string>();
  const count = { accepted: 0, duplicates: 0, failed: 0, missed: 0 };
  let running: Promise<void> | undefined;
  let closed = false;

  function refused(refusal: DoorRefusal): void {
    // The broker may deliver what it delivered before a crash: not an attack, and not news.
    const known: RecordId | undefined = refusal.recordId;
    if (refusal.code === 'RECORD_REPLAYED' && known !== undefined && records.has(known)) {
      if (refusal.claims !== undefined) acknowledger.repeated(refusal.claims);
      return;
    }
    options.onRefusal(refusal);
    const { claims, signedBy, presentedBy } = refusal;
    // In the name of whom the broker let publish it: nobody fills another's gap.
    if (claims !== undefined && options.member(claims.iss)?.token === presentedBy) {
      options.gaps.refused(presentedBy ?? '', claims);
    }
    // Without its certificate no signer is proven. Then its publisher is told, whom the broker
    // pinned: a receiver that began anew must not wait for the record's end to be sent the chain.
    const whom = refusal.code === 'RECORD_CHAIN_UNKNOWN' ? claims?.iss : signedBy;
    const sender = whom === undefined ? undefined : options.member(whom);
    // Only a proven signer of this very subject is told; a replay of its record by others is not.
    if (claims === undefined || sender === undefined || claims.iss !== whom) return;
    if (presentedBy !== sender.token || claims.sbj !== refusal.subject) return;
    if (refusal.code === 'RECORD_REPLAYED') return;
    acknowledger.rejected(sender, claims, 0);
  }

  async function handle(message: Incoming): Promise<void> {
    const verdict = channel.check(message);
    if (!verdict.ok) {
      underTrace(options.propagate, message.headers, () => refused(verdict));
      return;
    }
    const { sender, claims, gap } = verdict;
    count.missed += gap;
    options.gaps.came(sender.token, claims);
    remember(records, verdict.recordId);
    const own = options.idOf?.(verdict.payload);
    const id = own === undefined ? undefined : `${sender.token} ${own}`;
    if (id !== undefined && ids.has(id)) {
      count.duplicates += 1;
      acknowledger.accepted(sender, claims, gap);
      return;
    }
    try {
      const hop: ProcessHop = { identity: self.id, kind: options.kind, message: verdict };
      const work = () => CHANNELS.process.tracePromise(async () => options.handler(verdict), hop);
      await underTrace(options.propagate, message.headers, work);
    } catch {
      count.failed += 1;
      acknowledger.rejected(sender, claims, gap);
      return;
    }
    if (id !== undefined) remember(ids, id);
    count.accepted += 1;
    acknowledger.accepted(sender, claims, gap);
  }

  async function run(): Promise<void> {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      await handle(next);
    }
  }

  const stop = link.subscribe(deliverySubject(self, options.kind), undefined, (message) => {
    // Senders bound what is outstanding; who floods is not served at the others' expense.
    if (closed || waiting.length >= MAX_WAITING) return;
    waiting.push(message);
    running ??= run().finally(() => {
      running = undefined;
    });
  });

  return {
    status: () => ({ ...count }),
    async close() {
      stop();
      closed = true;
      await running;
    },
  };
}
