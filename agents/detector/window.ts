/**
 * The most recent values of a series, in order of arrival and sorted, so that a quantile is one
 * look-up. A value of this type never changes: `push` returns a new one. With windows of a few
 * hundred to a thousand numbers, copying them costs less than a tree would.
 */
export interface Window {
  readonly capacity: number;
  /** Ring buffer; `next` is the place of the oldest value once the ring is full. */
  readonly ring: Float64Array;
  readonly next: number;
  readonly sorted: Float64Array;
}

export function emptyWindow(capacity: number): Window {
  return { capacity, ring: new Float64Array(0), next: 0, sorted: new Float64Array(0) };
}

/** First index whose value is not less than `value`. */
function lowerBound(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Adds a finite value and lets the oldest go when the window is full. */
export function push(window: Window, value: number): Window {
  const { capacity, ring, next, sorted } = window;
  const at = lowerBound(sorted, value);
  if (ring.length < capacity) {
    const grownRing = new Float64Array(ring.length + 1);
    grownRing.set(ring);
    grownRing[ring.length] = value;
    const grown = new Float64Array(sorted.length + 1);
    grown.set(sorted.subarray(0, at));
    grown[at] = value;
    grown.set(sorted.subarray(at), at + 1);
    return { capacity, ring: grownRing, next: 0, sorted: grown };
  }
  const oldest = ring[next] as number;
  const gone = lowerBound(sorted, oldest);
  const nextRing = ring.slice();
  nextRing[next] = value;
  const nextSorted = sorted.slice();
  // One step of the sorted copy: the gap left by the oldest moves to where the newcomer belongs.
  if (at <= gone) {
    nextSorted.copyWithin(at + 1, at, gone);
    nextSorted[at] = value;
  } else {
    nextSorted.copyWithin(gone, gone + 1, at);
    nextSorted[at - 1] = value;
  }
  return { capacity, ring: nextRing, next: (next + 1) % capacity, sorted: nextSorted };
}

export function size(window: Window): number {
  return window.sorted.length;
}

/** The value below which a share `q` (0 to 1) of the window lies. The window must not be empty. */
export function quantile(window: Window, q: number): number {
  const { sorted } = window;
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] as number;
}

/** The window must not be empty. */
export function median(window: Window): number {
  const { sorted } = window;
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  if (sorted.length % 2 === 1) return upper;
  const lower = sorted[middle - 1] as number;
  return lower + (upper - lower) / 2;
}

/** Median absolute deviation from `centre`: a walk outwards from it, half the window long. */
export function medianDeviation(window: Window, centre: number): number {
  const { sorted } = window;
  const count = sorted.length;
  const target = count >> 1;
  let right = lowerBound(sorted, centre);
  let left = right - 1;
  let previous = 0;
  let current = 0;
  for (let taken = 0; taken <= target; taken += 1) {
    const toLeft = left >= 0 ? centre - (sorted[left] as number) : Number.POSITIVE_INFINITY;
    const toRight = right < count ? (sorted[right] as number) - centre : Number.POSITIVE_INFINITY;
    previous = current;
    if (toLeft <= toRight) {
      current = toLeft;
      left -= 1;
    } else {
      current = toRight;
      right += 1;
    }
  }
  return count % 2 === 1 ? current : previous + (current - previous) / 2;
}
