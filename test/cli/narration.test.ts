import { beforeAll, describe, expect, test } from 'vitest';
import { type NarrationOptions, narrate, storyOf } from '#cli/narration.ts';
import { storyOfEvent } from '#cli/story/stories.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import type { ProcessEvent } from '#runtime/supervisor/status.ts';
import { ALLOWED, type City, createCity, DENIED } from './city.ts';

let city: City;
let entries: readonly LedgerEntry[];
beforeAll(async () => {
  city = await createCity();
  const read = await city.reading();
  const finding = await city.finding([read]);
  const done = await city.act(finding, 'signal.set_plan', { plan: 'B' });
  await city.answer(done, ALLOWED);
  const denied = await city.act(finding, 'valve.set', { delta_pct: 5 });
  await city.answer(denied, DENIED, 'TOOL_NOT_ALLOWED');
  const failed = await city.act(finding, 'valve.status', {});
  await city.answer(failed, ALLOWED, 'WORKS_UNAVAILABLE');
  await city.refusal({ count: 3 });
  entries = city.ledger.list();
});

test('each kind of entry that a person follows is one story; the others give none', () => {
  const stories = entries.map((entry) => {
    const story = storyOf(entry);
    return story && `${story.tone} ${story.what} ${story.who}: ${story.text}`;
  });
  expect(stories).toEqual([
    undefined,
    'plain finding analyzer-1: 5.3 MAD off, runbook slow-traffic, model city-small',
    'plain action action-1: signal.set_plan plan=B',
    undefined,
    'plain action action-1: valve.set delta_pct=5',
    'bad denied mcp: TOOL_NOT_ALLOWED (tool_granted), to action-1',
    'plain action action-1: valve.status',
    'bad failed mcp: WORKS_UNAVAILABLE, to action-1',
    'bad refused sensor-cam-1: RECORD_REPLAYED on north.reading.sensor-cam-1, 3 times',
  ]);
});

const base = { at: '2026-01-01T00:00:00.000Z', name: 'sensor-cam-1' };
test.each<[ProcessEvent, string | undefined]>([
  [{ ...base, type: 'started', pid: 7, restarts: 1 }, undefined],
  [{ ...base, type: 'ready', pid: 7 }, 'plain ready: pid 7'],
  [
    { ...base, type: 'quarantined', pid: 7, detail: 'NO_ENTRY: \u001b[2J' },
    'bad quarantine: NO_ENTRY: \\u{1b}[2J',
  ],
  [
    { ...base, type: 'exited', pid: 7, expected: false, code: null, signal: 'SIGKILL', detail: '' },
    'warning ended: SIGKILL',
  ],
  [
    { ...base, type: 'exited', pid: 7, expected: true, code: 0, signal: null, detail: '' },
    undefined,
  ],
  [{ ...base, type: 'start-failed', detail: 'no image' }, 'bad no start: no image'],
  [{ ...base, type: 'restarting', inMs: 250, restarts: 2 }, 'warning restart: in 0.3 s, restart 2'],
])('of a process: %o', (event, expected) => {
  const story = storyOfEvent(event);
  expect(story && `${story.tone} ${story.what}: ${story.text}`).toBe(expected);
});

describe('up', () => {
  function listen(options: Partial<NarrationOptions> & { readonly isTTY?: boolean }) {
    const written: string[] = [];
    let now = 0;
    const entry: ((one: LedgerEntry) => void)[] = [];
    const policy: ((what: string) => void)[] = [];
    const stop = narrate(
      {
        ledger: {
          onEntry: (listener) => {
            entry.push(listener);
            return () => entry.splice(0);
          },
        },
        onEvent: () => () => {},
        onPolicy: (listener) => {
          policy.push(listener);
          return () => policy.splice(0);
        },
      },
      {
        json: false,
        clock: () => now,
        output: { isTTY: options.isTTY ?? false, write: (text) => written.push(text) },
        ...options,
      },
    );
    const tell = (one: LedgerEntry | undefined): void => {
      if (one !== undefined) for (const listener of entry) listener(one);
    };
    const advance = (ms: number): void => {
      now += ms;
    };
    return { written, tell, advance, stop, policy };
  }

  test('counts readings in one line that is written anew once a second, on a terminal alone', () => {
    const [reading, finding] = entries;
    const terminal = listen({ isTTY: true });
    for (let index = 0; index < 30; index++) {
      terminal.tell(reading);
      terminal.advance(100);
    }
    const counts = terminal.written.map((text) => /(\d+) recorded$/.exec(text)?.[1]);
    expect(counts).toEqual(['1', '11', '21']);
    terminal.tell(finding);
    expect(terminal.written.at(-2)).toBe('\r\u001b[K');
    expect(terminal.written.at(-1)).toMatch(/^0:03 .*finding.* analyzer-1 +5\.3 MAD off.*\n$/);
    terminal.stop();
    const pipe = listen({ isTTY: false });
    for (let index = 0; index < 30; index++) pipe.tell(reading);
    pipe.tell(finding);
    expect(pipe.written).toHaveLength(1);
  });

  test('with --json each line is an object, with the index of its entry and no count', () => {
    const { written, tell, policy } = listen({ json: true, isTTY: true });
    for (const entry of entries) tell(entry);
    for (const listener of policy) listener('new rules, abc');
    const lines = written.map((line) => JSON.parse(line) as { what: string; index?: number });
    expect(lines.map(({ what }) => what)).toEqual([
      'finding',
      'action',
      'action',
      'denied',
      'action',
      'failed',
      'refused',
      'policy',
    ]);
    expect(lines[0]?.index).toBe(1);
  });
});
