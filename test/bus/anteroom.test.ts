import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createAnteroom } from '#bus/client/anteroom.ts';
import type { Incoming } from '#bus/client/nats.ts';

const PATIENCE_MS = 500;

/** Messages name the certificate they came under in their data; `stated` says which are logged. */
function setUp() {
  const stated = new Set(['honest']);
  const watchers = new Map<string, Set<() => void>>();
  const room = createAnteroom({
    awaits: ({ data }) => {
      const thumbprint = Buffer.from(data).toString();
      return stated.has(thumbprint) ? undefined : thumbprint;
    },
    watch: (thumbprint, listener) => {
      const listeners = watchers.get(thumbprint) ?? new Set();
      watchers.set(thumbprint, listeners.add(listener));
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) watchers.delete(thumbprint);
      };
    },
    now: () => Date.now(),
    patienceMs: PATIENCE_MS,
  });
  const got: string[] = [];
  const push = room.before(({ subject }) => got.push(subject));
  const state = (thumbprint: string) => {
    stated.add(thumbprint);
    for (const listener of watchers.get(thumbprint) ?? []) listener();
  };
  return { room, got, push, state, watchers };
}

function message(sender: string, number: number, thumbprint = 'honest'): Incoming {
  const data = Buffer.from(thumbprint);
  return {
    subject: `n${number}.reading.${sender}`,
    reply: undefined,
    headers: [],
    status: 0,
    data,
  };
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe('the anteroom', () => {
  test('holds a message until its certificate is stated, and then lets it through', () => {
    const { got, push, state, watchers } = setUp();
    push(message('a', 1, 'new'));
    expect(got).toEqual([]);
    state('another');
    expect(got).toEqual([]);
    state('new');
    expect(got).toEqual(['n1.reading.a']);
    expect(watchers.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('lets it through unstated when its time is up: the door then refuses it', () => {
    const { got, push, watchers } = setUp();
    push(message('a', 1, 'rogue'));
    vi.advanceTimersByTime(PATIENCE_MS - 1);
    expect(got).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(got).toEqual(['n1.reading.a']);
    expect(watchers.size).toBe(0);
  });

  test('keeps the order of one sender and lets others pass', () => {
    const { got, push, state } = setUp();
    push(message('a', 1));
    push(message('a', 2, 'new'));
    push(message('a', 3));
    push(message('b', 4));
    push(message('a', 5, 'newer'));
    push(message('a', 6));
    expect(got).toEqual(['n1.reading.a', 'n4.reading.b']);
    state('newer');
    expect(got).toHaveLength(2);
    state('new');
    expect(got.slice(2)).toEqual(['n2.reading.a', 'n3.reading.a', 'n5.reading.a', 'n6.reading.a']);
  });

  test('a sender of ever new certificates delays itself by no more than the time of each message', () => {
    const { got, push } = setUp();
    for (let number = 0; number < 20; number += 1) {
      push(message('thief', number, `rogue ${number}`));
      push(message('honest', number));
      vi.advanceTimersByTime(100);
    }
    expect(got.filter((subject) => subject.endsWith('.honest'))).toHaveLength(20);
    vi.advanceTimersByTime(PATIENCE_MS);
    expect(got.filter((subject) => subject.endsWith('.thief'))).toHaveLength(20);
  });

  test('does not wait for who sends more than fits', () => {
    const { got, push } = setUp();
    for (let number = 0; number <= 256; number += 1) push(message('thief', number, 'rogue'));
    expect(got).toHaveLength(257);
    expect(got[0]).toBe('n0.reading.thief');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('holds a bounded number, whatever senders a broker makes up', () => {
    const { got, push } = setUp();
    for (let sender = 0; sender < 5000; sender += 1) push(message(`made-up-${sender}`, 0, 'rogue'));
    expect(got).toHaveLength(5000 - 4096);
  });

  test('is empty when nobody waits, and at its end lets all through, also who comes later', async () => {
    const { room, got, push } = setUp();
    await room.empty();
    push(message('a', 1, 'new'));
    push(message('a', 2));
    let empty = false;
    const emptied = room.empty().then(() => {
      empty = true;
    });
    await Promise.resolve();
    expect(empty).toBe(false);
    room.close();
    await emptied;
    push(message('b', 3, 'new'));
    expect(got).toEqual(['n1.reading.a', 'n2.reading.a', 'n3.reading.b']);
  });
});
