import type { RecordId, SignedRecord } from '#custody/record.ts';
import type { Member } from '../directory.ts';
import type { Channel, DoorRefusal } from '../door.ts';
import { appendSubject } from '../subjects.ts';
import { recordHeaders } from './envelope.ts';
import type { BusLink } from './link.ts';
import type { Incoming } from './nats.ts';
import { createPlaces } from './places.ts';
import { parseReceipt } from './receipt.ts';

interface Submitted {
  readonly record: SignedRecord;
  readonly payload: Uint8Array;
  /** Milliseconds; when it was submitted. */
  readonly since: number;
  attempts: number;
  /** Milliseconds; when it is sent again. */
  due: number;
}

export interface SubmitterStatus {
  readonly unconfirmed: number;
  readonly confirmed: number;
  readonly refused: Readonly<Record<string, number>>;
  /** Age of the oldest record without a receipt, milliseconds. */
  readonly oldestMs: number;
}

/**
 * Brings records to the ledger and keeps each until the ledger's signed receipt. The stream in
 * between gives no answer, and would only prove that the broker has it.
 */
export interface Submitter {
  /** Resolves when there is room for it; the receipt comes later (`flush`). */
  submit(record: SignedRecord, payload: Uint8Array): Promise<void>;
  onReceipt(message: Incoming): DoorRefusal | undefined;
  /** Sends again what is due; call it a few times a second. */
  tick(): void;
  /** Everything without a receipt goes again: the broker was away. */
  resend(): void;
  flush(): Promise<void>;
  /** Who waits for room is refused. What was submitted stays in the stream for the ledger. */
  close(reason: Error): void;
  /** How many records were submitted more than so long ago and have no receipt. */
  withoutReceipt(ms: number): number;
  status(): SubmitterStatus;
}

const FIRST_RETRY_MS = 2000;
const LAST_RETRY_MS = 15_000;

export function createSubmitter(options: {
  readonly link: BusLink;
  readonly self: Member;
  readonly channel: Channel;
  readonly clock: () => number;
  readonly limit: number;
  /** The ledger's receipt for a record of ours. */
  readonly onAppended?: (record: SignedRecord) => void;
}): Submitter {
  const { link, self, channel, clock } = options;
  const places = createPlaces(options.limit);
  const open = new Map<RecordId, Submitted>();
  const refused: Record<string, number> = {};
  let confirmed = 0;
  const subject = appendSubject(self);

  function send(item: Submitted): void {
    item.due = clock() + Math.min(FIRST_RETRY_MS * 2 ** item.attempts, LAST_RETRY_MS);
    item.attempts += 1;
    if (!link.connected()) return;
    const headers = recordHeaders(item.record, { chain: true });
    link.publish({ subject, payload: item.payload, headers });
  }

  function close(id: RecordId): Submitted | undefined {
    const item = open.get(id);
    if (!open.delete(id)) return undefined;
    places.leave();
    return item;
  }

  return {
    async submit(record, payload) {
      await places.enter();
      const item = { record, payload, since: clock(), attempts: 0, due: 0 };
      open.set(record.id, item);
      send(item);
    },
    onReceipt(message) {
      const verdict = channel.check(message);
      if (!verdict.ok) return verdict;
      const receipt = parseReceipt(verdict.payload);
      if (!receipt.ok) return undefined;
      for (const id of receipt.value.appended) {
        const item = close(id);
        if (item === undefined) continue;
        confirmed += 1;
        options.onAppended?.(item.record);
      }
      for (const { id, code } of receipt.value.refused) {
        if (close(id) !== undefined) refused[code] = (refused[code] ?? 0) + 1;
      }
      return undefined;
    },
    tick() {
      const now = clock();
      for (const item of open.values()) if (item.due <= now) send(item);
    },
    resend() {
      for (const item of open.values()) send(item);
    },
    flush: () => places.empty(),
    close: (reason) => places.close(reason),
    withoutReceipt(ms) {
      const before = clock() - ms;
      let count = 0;
      for (const { since } of open.values()) {
        if (since > before) break;
        count += 1;
      }
      return count;
    },
    status() {
      const oldest = open.values().next();
      const since = oldest.done ? clock() : oldest.value.since;
      return {
        unconfirmed: open.size,
        confirmed,
        refused: { ...refused },
        oldestMs: Math.max(0, clock() - since),
      };
    },
  };
}
