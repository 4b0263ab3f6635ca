import { vi } from 'vitest';

/**
 * From here on waiting of the code under test ends only when a test lets time pass: a machine that
 * stands still for a while then runs into no limit. To be called before anything waits, and ended by
 * `goOn`. Dates are those of the real clock: what goes by them is given a clock of its own.
 */
export function standStill(): void {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
  });
}

export function goOn(): void {
  vi.useRealTimers();
}

export function pass(milliseconds: number): void {
  vi.advanceTimersByTime(milliseconds);
}

/** Lets time pass, a turn of the event loop at each step, until this is settled. */
export async function passUntil<T>(settled: Promise<T>, step = () => pass(100)): Promise<T> {
  let over = false;
  const end = (): void => {
    over = true;
  };
  settled.then(end, end);
  while (!over) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!over) step();
  }
  return settled;
}
