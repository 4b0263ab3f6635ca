import type { AlarmCode } from '../codes.ts';

/** What a process tells past the broker: once when it begins to be so, and once when it is over. */
export interface BusAlarm {
  readonly code: AlarmCode;
  /** The token of a member, or whatever else the code is about. */
  readonly about: string;
  readonly detail: string;
  readonly over: boolean;
}

export interface AlarmBoard {
  /** All that this code is raised about now, with a line on each; what is missing here is over. */
  now(code: AlarmCode, things: ReadonlyMap<string, string>): void;
}

/** Things that one code is raised about; more are not told, so that a flood cannot drown the rest. */
const MAX_THINGS = 64;

export function createAlarmBoard(tell: (alarm: BusAlarm) => void): AlarmBoard {
  const raised = new Map<AlarmCode, Map<string, string>>();
  return {
    now(code, things) {
      const before = raised.get(code) ?? new Map<string, string>();
      raised.set(code, before);
      for (const [about, detail] of before) {
        if (things.has(about)) continue;
        before.delete(about);
        tell({ code, about, detail, over: true });
      }
      for (const [about, detail] of things) {
        if (before.has(about) || before.size >= MAX_THINGS) continue;
        before.set(about, detail);
        tell({ code, about, detail, over: false });
      }
    },
  };
}
