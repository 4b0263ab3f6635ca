/** The promise' value, or `undefined` after so long; what was waited for is told to give up. */
export async function within<T>(
  ms: number,
  outer: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const own = new AbortController();
  const signal = AbortSignal.any([own.signal, outer]);
  const timer = setTimeout(() => own.abort(), ms);
  const given = new Promise<undefined>((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined));
    if (signal.aborted) resolve(undefined);
  });
  try {
    return await Promise.race([work(signal), given]);
  } finally {
    clearTimeout(timer);
    own.abort();
  }
}
