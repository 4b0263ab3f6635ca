import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { alarmLines, storyOfAlarm } from '#cli/story/alarm-lines.ts';
import { type Alarm, createAlarms } from '#cli/wiring/alarms.ts';
import { watchCheckpoints } from '#cli/wiring/checkpoint-watch.ts';
import type { FromChild } from '#runtime/process-protocol.ts';
import type { ProcessEvent } from '#runtime/supervisor/status.ts';
import type { Supervisor } from '#runtime/supervisor/supervisor.ts';

/** Processes that start, say something and end when the test says so. */
function processes() {
  const events = new Set<(event: ProcessEvent) => void>();
  const channels = new Map<string, Set<(message: FromChild) => void>>();
  const supervisor = {
    onEvent: (listener: (event: ProcessEvent) => void) => {
      events.add(listener);
      return () => events.delete(listener);
    },
    process: (name: string) => ({
      onMessage: (listener: (message: FromChild) => void) => {
        channels.get(name)?.add(listener);
        return () => {};
      },
    }),
  } as unknown as Pick<Supervisor, 'onEvent' | 'process'>;
  const emit = (event: object) => {
    for (const listener of events) listener(event as ProcessEvent);
  };
  return {
    supervisor,
    start(name: string) {
      channels.set(name, new Set());
      emit({ type: 'started', name, pid: 1, restarts: 0, at: '' });
    },
    end: (name: string) => emit({ type: 'exited', name }),
    say(name: string, message: FromChild) {
      for (const listener of channels.get(name) ?? []) listener(message);
    },
  };
}

function setUp(...names: readonly string[]) {
  const time = { now: Date.UTC(2026, 0, 1) };
  const alarms = createAlarms({ now: () => new Date(time.now) });
  const swarm = processes();
  alarms.follow(swarm.supervisor);
  for (const name of names) swarm.start(name);
  const told: string[] = [];
  alarms.onAlarm(({ code, by, about, until }) =>
    told.push(`${until === undefined ? '+' : '-'}${code} ${by} ${about}`),
  );
  const raise = (by: string, code: string, about?: string, over?: true) =>
    swarm.say(by, {
      type: 'alarm',
      code,
      detail: `${code} of ${by}`,
      ...(about !== undefined && { about }),
      ...(over !== undefined && { over }),
    });
  const now = () => alarms.list().filter(({ until }) => until === undefined);
  return { time, alarms, swarm, told, raise, now };
}

describe('the alarms of a run', () => {
  test('are kept with whose word it is, told once, and once more when they are over', () => {
    const { alarms, raise, told, time } = setUp('cam-1', 'cam-2');
    raise('cam-1', 'ACK_MISSING', 'analyzer-1');
    raise('cam-1', 'ACK_MISSING', 'analyzer-1');
    raise('cam-2', 'ACK_MISSING', 'analyzer-1');
    time.now += 1000;
    raise('cam-1', 'ACK_MISSING', 'analyzer-1', true);
    raise('cam-1', 'ACK_MISSING', 'analyzer-1', true);
    expect(told).toEqual([
      '+ACK_MISSING cam-1 analyzer-1',
      '+ACK_MISSING cam-2 analyzer-1',
      '-ACK_MISSING cam-1 analyzer-1',
    ]);
    expect(alarms.list()).toMatchObject([
      { by: 'cam-2', detail: 'ACK_MISSING of cam-2', times: 1 },
      { by: 'cam-1', since: '2026-01-01T00:00:00.000Z', until: '2026-01-01T00:00:01.000Z' },
    ]);
  });

  test.each([
    ['sensor-cam-1', 'RSQ_GAP', true],
    ['platform-ledger', 'ACK_MISSING', true],
    ['platform-ledger', 'LEDGER_REWRITTEN', true],
    ['witness-1', 'WITNESS_FORK', true],
    ['sensor-cam-1', 'WITNESS_FORK', false],
    ['sensor-cam-1', 'LEDGER_REWRITTEN', false],
    ['sensor-cam-1', 'CHECKPOINT_STALE', false],
    ['witness-1', 'WITNESS_SILENT', false],
    ['sensor-cam-1', 'ISSUANCE_NOT_ATTESTED', false],
    ['sensor-cam-1', 'MADE_UP', false],
  ])('a process is believed about what it can see: %s says %s: %s', (by, code, taken) => {
    const { alarms, raise } = setUp(by);
    raise(by, code);
    expect(alarms.list().length).toBe(taken ? 1 : 0);
  });

  test('of a process that has ended are over; its next life raises its own', () => {
    const { swarm, raise, now } = setUp('cam-1');
    raise('cam-1', 'RECEIPT_MISSING', 'ledger');
    swarm.end('cam-1');
    expect(now()).toEqual([]);
    swarm.start('cam-1');
    raise('cam-1', 'RECEIPT_MISSING', 'ledger');
    expect(now()).toMatchObject([{ by: 'cam-1', times: 2 }]);
  });

  test('one that comes and goes is counted, and told once a while', () => {
    const { raise, told, time, alarms } = setUp('cam-1');
    for (let n = 0; n < 100; n += 1) {
      raise('cam-1', 'RSQ_GAP', 'x');
      time.now += 500;
      raise('cam-1', 'RSQ_GAP', 'x', true);
    }
    expect(told.length).toBe(4);
    expect(alarms.list()).toMatchObject([{ times: 100 }]);
  });

  test('who raises without end has its bound, and pushes nobody else out', () => {
    const { raise, alarms } = setUp('cam-1', 'cam-2');
    raise('cam-2', 'RSQ_GAP', 'x');
    for (let n = 0; n < 2000; n += 1) {
      raise('cam-1', 'RSQ_GAP', `m${n}`);
      if (n % 2 === 0) raise('cam-1', 'RSQ_GAP', `m${n}`, true);
    }
    expect(alarms.list().length).toBeLessThan(100);
    expect(alarms.list().filter(({ by }) => by === 'cam-2').length).toBe(1);
    for (let n = 0; n < 1000; n += 1) {
      alarms.raise('ISSUANCE_NOT_ATTESTED', 'x'.repeat(1e6), String(n));
      alarms.over('ISSUANCE_NOT_ATTESTED', String(n));
    }
    expect(alarms.list().length).toBeLessThan(150);
    expect(Math.max(...alarms.list().map(({ detail }) => detail.length))).toBeLessThan(1000);
  });
});

describe('the watch over tree heads', () => {
  const WITNESSES = ['witness-1', 'witness-2', 'witness-3'];
  function watched() {
    const made = setUp(...WITNESSES);
    const newest = { size: 1, time: made.time.now / 1000 };
    const watch = watchCheckpoints({
      supervisor: made.swarm.supervisor,
      alarms: made.alarms,
      newest: () => newest,
      now: () => made.time.now,
    });
    for (const name of WITNESSES) made.swarm.start(name);
    /** Seconds in which these witnesses cosign. */
    const pass = (seconds: number, ...cosigning: readonly string[]) => {
      for (let n = 0; n < seconds; n += 1) {
        made.time.now += 1000;
        const time = Math.floor(made.time.now / 1000);
        for (const name of cosigning) made.swarm.say(name, { type: 'cosigned', size: 1, time });
        if (cosigning.length >= 2) newest.time = time;
        watch.tick();
      }
    };
    return { ...made, pass, watch };
  }
  const codes = (list: readonly Alarm[]) => list.map(({ code, about }) => `${code} ${about}`);

  test('raises nothing while all cosign', () => {
    const { pass, alarms } = watched();
    pass(60, ...WITNESSES);
    expect(alarms.list()).toEqual([]);
  });

  test('heads that nobody cosigns grow stale, and no witness is blamed', () => {
    const { pass, now } = watched();
    pass(5, ...WITNESSES);
    pass(9);
    expect(now()).toEqual([]);
    pass(5);
    expect(codes(now())).toEqual(['CHECKPOINT_STALE ledger']);
    pass(2, ...WITNESSES);
    expect(now()).toEqual([]);
  });

  test('a swarm in which nothing was ever cosigned is stale, too', () => {
    const { pass, now } = watched();
    pass(14);
    expect(codes(now())).toEqual(['CHECKPOINT_STALE ledger']);
  });

  test('a witness that says nothing while a quorum does is silent', () => {
    const { pass, now } = watched();
    pass(5, ...WITNESSES);
    pass(13, 'witness-1', 'witness-3');
    expect(codes(now())).toEqual(['WITNESS_SILENT witness-2']);
    pass(1, ...WITNESSES);
    expect(now()).toEqual([]);
  });

  test('a long turn of the supervisor, with what was told unread, is no alarm', () => {
    const { pass, time, watch, now } = watched();
    pass(5, ...WITNESSES);
    time.now += 20_000;
    watch.tick();
    pass(1, ...WITNESSES);
    expect(now()).toEqual([]);
  });

  test('without an alarm is nothing a witness says about another', () => {
    const { swarm, now } = watched();
    swarm.say('witness-1', {
      type: 'alarm',
      code: 'WITNESS_SILENT',
      detail: '',
      about: 'witness-2',
    });
    expect(now()).toEqual([]);
  });
});

describe('alarms in lines', () => {
  const at = new Date('2026-01-01T00:01:00.000Z');
  const alarm = {
    code: 'ACK_MISSING',
    by: 'sensor-cam-1',
    about: 'analyzer-1',
    detail: '3 of ours not acknowledged by analyzer-1 for 10 s',
    since: '2026-01-01T00:00:18.000Z',
    times: 1,
  };
  const plain = (lines: readonly string[]) => lines.map((line) => stripVTControlCharacters(line));

  test('of a swarm without any', () => {
    expect(plain(alarmLines([], at))).toEqual(['alarms: none']);
    expect(plain(alarmLines([{ ...alarm, until: alarm.since }], at))).toEqual([
      'alarms: none, 1 over',
    ]);
  });

  test('each in one line of at most 80 columns, the newest of many', () => {
    const many = Array.from({ length: 30 }, (_, n) => ({ ...alarm, about: `a${n}` }));
    const lines = plain(alarmLines([...many, { ...alarm, until: alarm.since }], at));
    expect(lines.length).toBe(11);
    expect(lines[0]).toBe('alarms: 30 now, 1 over; the last 10:');
    expect(lines.at(-1)).toMatch(/^ {2}ACK_MISSING a29, 42 s, by sensor-cam-1: 3 of ours/);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test('whatever stands in one writes nothing else on a terminal', () => {
    const active = ['\u001b[2J', '\u202e', '\n', '\u0007'];
    const odd = { ...alarm, detail: active.join('x'), by: '\u0007' };
    const shown = `${alarmLines([odd], at).join('')}${storyOfAlarm(odd).text}${storyOfAlarm(odd).who}`;
    expect(active.filter((text) => shown.includes(text))).toEqual([]);
  });

  test('in the story of a swarm: when it begins, and when it is over', () => {
    expect(storyOfAlarm(alarm)).toMatchObject({ what: 'alarm', who: 'sensor-cam-1', tone: 'bad' });
    expect(storyOfAlarm({ ...alarm, until: alarm.since })).toMatchObject({
      text: 'ACK_MISSING analyzer-1: is over',
      tone: 'warning',
    });
  });
});
