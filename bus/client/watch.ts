import type { RecordId } from '#custody/record.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { Directory } from '../directory.ts';
import { type BusAlarm, createAlarmBoard } from './alarms.ts';
import { createGapWatch, type GapWatch } from './gaps.ts';
import { createInclusionWatch, type InclusionWatch, type ProveInclusion } from './inclusion.ts';

/** What a process does about a broker or a ledger that says nothing: it tells past them. */
export interface BusWatch {
  /** Of the messages that are consumed. */
  readonly gaps: Pick<GapWatch, 'came' | 'refused'>;
  /** The ledger gave a receipt for this record. */
  receipted(id: RecordId, subject: string): void;
  /** From now on the ledger is asked to prove what it gave receipts for. */
  proveBy(prove: ProveInclusion): void;
  /** Call it a few times a second. */
  tick(): void;
  close(): void;
}

/** Longer than anything takes that is not lost, on a busy machine too. */
export const ALARM_AFTER_MS = 10_000;
/** Between two questions of one process, and as much again that is drawn: they are records, too. */
const ASK_AFTER_MS = 7500;
const ASK_SPREAD_MS = 5000;

export function createBusWatch(options: {
  readonly directory: Directory;
  readonly tell: (alarm: BusAlarm) => void;
  /** Receivers that have not acknowledged what was sent more than so long ago, with its number. */
  readonly unacknowledged: (ms: number) => ReadonlyMap<SpiffeId, number>;
  /** How many records have had no receipt for more than so long. */
  readonly withoutReceipt: (ms: number) => number;
  /** From 0 (inclusive) to 1. */
  readonly random: () => number;
  /** Milliseconds of any start. */
  readonly now: () => number;
}): BusWatch {
  const { directory, random } = options;
  const board = createAlarmBoard(options.tell);
  const gaps = createGapWatch({ now: options.now });
  let inclusion: InclusionWatch | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const tokenOf = (id: SpiffeId): string => directory.byId(id)?.token ?? 'unknown';
  const seconds = ALARM_AFTER_MS / 1000;

  function askLater(): void {
    timer = setTimeout(
      async () => {
        await inclusion?.ask();
        if (!closed) askLater();
      },
      ASK_AFTER_MS + random() * ASK_SPREAD_MS,
    );
    timer.unref();
  }

  function tick(): void {
    const late = [...options.unacknowledged(ALARM_AFTER_MS)].map(
      ([id, count]) =>
        [
          tokenOf(id),
          `${count} of ours not acknowledged by ${tokenOf(id)} for ${seconds} s`,
        ] as const,
    );
    board.now('ACK_MISSING', new Map(late));
    const count = options.withoutReceipt(ALARM_AFTER_MS);
    const text = `${count} records without a receipt of the ledger for ${seconds} s`;
    board.now('RECEIPT_MISSING', new Map(count > 0 ? [['ledger', text]] : []));
    const missed = [...gaps.missing()].map(
      ([sender, number]) => [sender, `${number} messages of ${sender} were missed`] as const,
    );
    board.now('RSQ_GAP', new Map(missed));
    const unproven = inclusion?.missing();
    board.now('INCLUSION_MISSING', new Map(unproven === undefined ? [] : [['ledger', unproven]]));
  }

  return {
    gaps,
    receipted(id, subject) {
      // About the questions themselves nothing is asked: there would be no end to it.
      if (!subject.startsWith('svc.ledger.')) inclusion?.receipted(id);
    },
    proveBy(prove) {
      if (inclusion !== undefined) throw new Error('the ledger is asked already');
      inclusion = createInclusionWatch({ prove, random, limitMs: ALARM_AFTER_MS });
      askLater();
    },
    tick,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
