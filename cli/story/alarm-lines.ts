import { inert } from '#agents/text.ts';
import { paint } from '../output.ts';
import type { Story } from './stories.ts';

/** An alarm as a command shows it; `until` when it is over. */
export interface AlarmView {
  readonly code: string;
  readonly by: string;
  readonly about: string;
  readonly detail: string;
  readonly since: string;
  readonly until?: string | undefined;
  readonly times: number;
}

const WIDTH = 80;
const MAX_SHOWN = 10;

/** What is wrong now, a line each, and how much was and is no more. */
export function alarmLines(alarms: readonly AlarmView[], now: Date): string[] {
  const current = alarms.filter(({ until }) => until === undefined);
  const over = alarms.length - current.length;
  const past = over === 0 ? '' : `, ${over} over`;
  if (current.length === 0) return [`alarms: none${past}`];
  const shown = current.slice(-MAX_SHOWN);
  const more = current.length - shown.length;
  return [
    paint(
      'red',
      `alarms: ${current.length} now${past}${more > 0 ? `; the last ${MAX_SHOWN}:` : ''}`,
    ),
    ...shown.map((alarm) => paint('red', inert(`  ${lineOf(alarm, now)}`, WIDTH))),
  ];
}

function lineOf({ code, by, about, detail, since }: AlarmView, now: Date): string {
  const seconds = Math.max(0, Math.floor((now.getTime() - Date.parse(since)) / 1000));
  return `${code} ${about}, ${seconds} s, by ${by}: ${detail}`;
}

/** An alarm in the story of a swarm, when it begins and when it is over. */
export function storyOfAlarm({ code, by, about, detail, until }: AlarmView): Story {
  const text = inert(`${code} ${about}: ${until === undefined ? detail : 'is over'}`, 160);
  return { what: 'alarm', who: inert(by, 40), text, tone: until === undefined ? 'bad' : 'warning' };
}
