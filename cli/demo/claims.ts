import { UserError } from '../output.ts';

/** What the demo promises to show. Each is told by an observation, or the demo fails by its name. */
export const CLAIMS = {
  ready: 'every process is ready with its own SVID',
  reading: 'a reading is in the ledger, and its record is genuine',
  finding: 'an anomaly became a finding',
  action: 'the finding became an action',
  works: 'the city works changed as the action said',
  refusal: 'a process that nobody attested was refused an identity, and the refusal is recorded',
  renewal: 'an SVID was renewed and no reading was lost',
  tree: 'every hop from the action back to the reading is genuine',
  stopped: 'everything is stopped',
} as const;
export type Claim = keyof typeof CLAIMS;

/** Waits for an observation. @throws UserError naming the claim when it does not come in time. */
export async function observed<T>(
  claim: Claim,
  observation: Promise<T>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const fail = (why: string): void =>
    late.reject(new UserError(`not observed: ${CLAIMS[claim]} (${why})`));
  const timer = setTimeout(() => fail(`waited ${timeoutMs / 1000} s`), timeoutMs);
  const abort = (): void => fail('interrupted');
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  try {
    return await Promise.race([observation, late.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}
