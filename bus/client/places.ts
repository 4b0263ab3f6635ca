/** A bounded number of places, waited for in order: how back-pressure reaches a source. */
export interface Places {
  enter(): Promise<void>;
  leave(): void;
  /** Resolves when every place is free. */
  empty(): Promise<void>;
  /** Nobody waits any longer: those who do are refused, those inside may stay. */
  close(reason: Error): void;
}

export function createPlaces(limit: number): Places {
  let taken = 0;
  let closed: Error | undefined;
  const waiting: { readonly resolve: () => void; readonly reject: (reason: Error) => void }[] = [];
  let idle: (() => void)[] = [];
  return {
    enter() {
      if (closed !== undefined) return Promise.reject(closed);
      if (taken < limit) {
        taken += 1;
        return Promise.resolve();
      }
      return new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
      });
    },
    leave() {
      const next = waiting.shift();
      if (next !== undefined) {
        next.resolve();
        return;
      }
      taken -= 1;
      if (taken === 0) {
        for (const resolve of idle) resolve();
        idle = [];
      }
    },
    empty: () =>
      taken === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            idle.push(resolve);
          }),
    close(reason) {
      closed = reason;
      for (const { reject } of waiting.splice(0)) reject(reason);
    },
  };
}
