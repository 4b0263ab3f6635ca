/** The user's wish to end: the first SIGINT or SIGTERM, or a request from elsewhere. */
export interface Interrupt {
  readonly promise: Promise<void>;
  readonly signal: AbortSignal;
  request(): void;
}

export function onInterrupt(): Interrupt {
  const { promise, resolve } = Promise.withResolvers<void>();
  const controller = new AbortController();
  const request = (): void => {
    controller.abort();
    resolve();
  };
  process.on('SIGINT', request);
  process.on('SIGTERM', request);
  return { promise, signal: controller.signal, request };
}
