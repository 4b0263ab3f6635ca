import type { Measure } from '../bus.ts';

/**
 * One part of a measurement, which must not cost the others whatever becomes of it: a part that fails,
 * or does not end in time, says so and has no figures.
 */
export async function part(
  name: string,
  limitMs: number,
  work: (signal: AbortSignal) => Promise<Measure[]>,
): Promise<Measure[]> {
  const late = Promise.withResolvers<never>();
  const over = new AbortController();
  const timer = setTimeout(() => {
    late.reject(new Error(`no end within ${limitMs / 1000} s`));
    over.abort();
  }, limitMs);
  const working = work(over.signal);
  // Nobody waits for what comes after its time.
  working.catch(() => {});
  try {
    return await Promise.race([working, late.promise]);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    process.stdout.write(`  ${name}: not measured: ${why}\n`);
    return [];
  } finally {
    clearTimeout(timer);
  }
}
