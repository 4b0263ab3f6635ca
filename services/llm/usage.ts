import type { SpiffeId } from '#identity/spiffe-id.ts';

/** What policy reads as `context.usage`: the last 60 seconds, the last 60 minutes. */
export interface Usage {
  readonly calls_minute: number;
  readonly tokens_hour: number;
}

/** Counters per verified identity. They count; policy holds the limits. */
export interface UsageMeter {
  usage(id: SpiffeId): Usage;
  /**
   * Books an allowed call and an estimate of its tokens at once, before anything is awaited:
   * booked only on completion, a burst of concurrent calls would all see the old figures.
   * The function returned replaces the estimate by the tokens really used.
   */
  book(id: SpiffeId, estimatedTokens: number): (usedTokens: number) => void;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const SLOTS = 60;

/** A window of 60 slots; a slot is reused, cleared, once its time is over. */
interface Window {
  readonly slot: number;
  readonly sums: Float64Array;
  readonly epochs: Float64Array;
}

/** @param now milliseconds */
export function createUsageMeter(now: () => number): UsageMeter {
  const meters = new Map<SpiffeId, { calls: Window; tokens: Window }>();
  const meterOf = (id: SpiffeId) => {
    const known = meters.get(id);
    if (known !== undefined) return known;
    const fresh = { calls: createWindow(SECOND), tokens: createWindow(MINUTE) };
    meters.set(id, fresh);
    return fresh;
  };
  return {
    usage: (id) => {
      const meter = meterOf(id);
      return { calls_minute: sum(meter.calls, now()), tokens_hour: sum(meter.tokens, now()) };
    },
    book: (id, estimatedTokens) => {
      const meter = meterOf(id);
      const at = now();
      add(meter.calls, at, 1);
      add(meter.tokens, at, estimatedTokens);
      return (usedTokens) => correct(meter.tokens, at, usedTokens - estimatedTokens);
    },
  };
}

function createWindow(slot: number): Window {
  return { slot, sums: new Float64Array(SLOTS), epochs: new Float64Array(SLOTS).fill(-1) };
}

function add(window: Window, at: number, amount: number): void {
  const epoch = Math.floor(at / window.slot);
  const index = epoch % SLOTS;
  if (window.epochs[index] !== epoch) {
    window.epochs[index] = epoch;
    window.sums[index] = 0;
  }
  window.sums[index] = (window.sums[index] ?? 0) + amount;
}

/** Changes the slot the estimate was booked in, unless that slot has passed out of the window. */
function correct(window: Window, at: number, amount: number): void {
  const epoch = Math.floor(at / window.slot);
  const index = epoch % SLOTS;
  if (window.epochs[index] === epoch) window.sums[index] = (window.sums[index] ?? 0) + amount;
}

function sum(window: Window, at: number): number {
  const epoch = Math.floor(at / window.slot);
  let total = 0;
  for (let index = 0; index < SLOTS; index += 1) {
    const age = epoch - (window.epochs[index] ?? -1);
    if (window.epochs[index] !== -1 && age >= 0 && age < SLOTS) total += window.sums[index] ?? 0;
  }
  return total;
}
