/** What a full queue gives up first: everything that went well. */
export interface Queued {
  /** A refusal or an error. */
  readonly error: boolean;
}

/** A bounded queue, oldest first. */
export interface BoundedQueue<T extends Queued> {
  /** When it is full, an error takes the place of the oldest that went well; all else is dropped. */
  push(item: T): void;
  /** Takes items from the front as long as `fits` says so. */
  take(fits: (item: T) => boolean): readonly T[];
  size(): number;
  dropped(): number;
}

export function createQueue<T extends Queued>(limit: number): BoundedQueue<T> {
  // Two rows, so that making room costs no search.
  let fine: T[] = [];
  let errors: T[] = [];
  let dropped = 0;
  let fineFrom = 0;

  const size = (): number => fine.length - fineFrom + errors.length;

  return {
    push(item) {
      if (size() >= limit) {
        dropped += 1;
        if (!item.error || fineFrom >= fine.length) return;
        fineFrom += 1;
      }
      if (item.error) errors.push(item);
      else fine.push(item);
    },
    take(fits) {
      const taken: T[] = [];
      let count = 0;
      for (const item of errors) {
        if (!fits(item)) break;
        count += 1;
        taken.push(item);
      }
      const all = count === errors.length;
      errors = errors.slice(count);
      while (all && fineFrom < fine.length) {
        const item = fine[fineFrom];
        if (item === undefined || !fits(item)) break;
        taken.push(item);
        fineFrom += 1;
      }
      if (fineFrom > fine.length / 2) {
        fine = fine.slice(fineFrom);
        fineFrom = 0;
      }
      return taken;
    },
    size,
    dropped: () => dropped,
  };
}
