import type { AlarmCode } from '#bus/codes.ts';
import type { Supervisor } from '#runtime/supervisor/supervisor.ts';
import { isWitness } from '#runtime/witness/names.ts';

export type SwarmAlarmCode = AlarmCode | 'ISSUANCE_NOT_ATTESTED';

/** Something that did not happen and should have, or the other way round, as one process tells it. */
export interface Alarm {
  readonly code: SwarmAlarmCode;
  /** The process whose word it is. */
  readonly by: string;
  /** What it is about: the token of a member, a witness, the ledger. */
  readonly about: string;
  readonly detail: string;
  /** ISO 8601; of the last time, where it came back. */
  readonly since: string;
  /** ISO 8601; absent while it is so. */
  readonly until?: string;
  /** How often it began. */
  readonly times: number;
}

/** All alarms of a run, from its processes and from the supervisor itself. */
export interface Alarms {
  /** What the supervisor itself has seen. */
  raise(code: SwarmAlarmCode, detail: string, about?: string): void;
  over(code: SwarmAlarmCode, about?: string): void;
  /** Takes what processes raise over their channels. Returns what ends it. */
  follow(supervisor: Pick<Supervisor, 'onEvent' | 'process'>): () => void;
  /** Those that are so now, then those that are over; each the oldest first. */
  list(): readonly Alarm[];
  /** Calls back when one begins and when it is over; one that flaps is told once a while. */
  onAlarm(listener: (alarm: Alarm) => void): () => void;
}

const SUPERVISOR = 'supervisor';
const LEDGER = 'platform-ledger';
const MAX_ALARMS = 512;
/** Of one process: it may lie, and shall not push out what others say. */
const MAX_OF_ONE = 48;
const TOLD_AGAIN_MS = 30_000;
const MAX_DETAIL = 300;

/** What a member sees at its own place on the bus. */
const OF_MEMBERS: ReadonlySet<string> = new Set([
  'ACK_MISSING',
  'RECEIPT_MISSING',
  'INCLUSION_MISSING',
  'RSQ_GAP',
] satisfies AlarmCode[]);

/** A process is believed about what it can see; an agent has nothing to say of forks. */
function mayRaise(process: string, code: string): code is SwarmAlarmCode {
  if (code === 'WITNESS_FORK') return isWitness(process);
  if (code === 'LEDGER_REWRITTEN') return process === LEDGER;
  return OF_MEMBERS.has(code);
}

interface Kept extends Alarm {
  readonly toldAt: number;
}

export function createAlarms(options: { readonly now: () => Date }): Alarms {
  const { now } = options;
  const kept = new Map<string, Kept>();
  const listeners = new Set<(alarm: Alarm) => void>();
  const keyOf = (by: string, code: string, about: string): string => `${by} ${code} ${about}`;
  const publicly = ({ toldAt: _, ...alarm }: Kept): Alarm => alarm;

  function tell(alarm: Kept): void {
    for (const listener of listeners) listener(publicly(alarm));
  }

  /** The oldest that is over makes room; what is so now stays. */
  function hasRoom(by: string): boolean {
    const own = [...kept.values()].filter((alarm) => alarm.by === by);
    if (own.length < MAX_OF_ONE && kept.size < MAX_ALARMS) return true;
    for (const [key, alarm] of kept) {
      if (alarm.until === undefined || (own.length >= MAX_OF_ONE && alarm.by !== by)) continue;
      kept.delete(key);
      return true;
    }
    return false;
  }

  function begin(by: string, code: SwarmAlarmCode, about: string, detail: string): void {
    const key = keyOf(by, code, about);
    const before = kept.get(key);
    if (before !== undefined && before.until === undefined) return;
    if (before === undefined && !hasRoom(by)) return;
    const at = now();
    const quiet = before !== undefined && at.getTime() - before.toldAt < TOLD_AGAIN_MS;
    const alarm: Kept = {
      code,
      by,
      about,
      detail: detail.slice(0, MAX_DETAIL),
      since: at.toISOString(),
      times: (before?.times ?? 0) + 1,
      toldAt: quiet ? before.toldAt : at.getTime(),
    };
    // Behind all others: the map is in the order of beginnings.
    kept.delete(key);
    kept.set(key, alarm);
    if (!quiet) tell(alarm);
  }

  function end(key: string): void {
    const alarm = kept.get(key);
    if (alarm === undefined || alarm.until !== undefined) return;
    const ended = { ...alarm, until: now().toISOString() };
    kept.set(key, ended);
    // Its beginning was not told either, when it came back so soon.
    if (Date.parse(alarm.since) === alarm.toldAt) tell(ended);
  }

  return {
    raise: (code, detail, about = SUPERVISOR) => begin(SUPERVISOR, code, about, detail),
    over: (code, about = SUPERVISOR) => end(keyOf(SUPERVISOR, code, about)),
    follow: (supervisor) =>
      supervisor.onEvent((event) => {
        if (event.type === 'exited') {
          // Its next life raises anew what is so then.
          for (const [key, { by }] of kept) if (by === event.name) end(key);
        }
        if (event.type !== 'started') return;
        const by = event.name;
        supervisor.process(by)?.onMessage((message) => {
          if (message.type !== 'alarm' || !mayRaise(by, message.code)) return;
          const { code, detail, about = by, over } = message;
          if (over === true) end(keyOf(by, code, about));
          else begin(by, code, about, detail);
        });
      }),
    list() {
      const all = [...kept.values()].map(publicly);
      return [
        ...all.filter(({ until }) => until === undefined),
        ...all.filter(({ until }) => until !== undefined),
      ];
    },
    onAlarm(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
