import { UserError } from '../output.ts';

/** What the demo promises to show. Each is told by an observation, or the demo fails by its name. */
export const CLAIMS = {
  ready: 'every process is ready with its own SVID',
  refusal: 'a process that nobody attested was refused an identity, and the refusal is recorded',
  finding: 'a genuine reading was found to be an anomaly',
  works: 'the finding became an order, and the city works changed as it said',
  renewal: 'an SVID was renewed and no reading was lost',
  tree: 'every hop from the action back to the reading is genuine',
  evidence:
    'the action is proven by another process from its file and pinned keys, and a changed bit is named',
  compromises: 'each compromise works with shared keys, and is stopped here with the culprit named',
  records: 'no record is missing in the ledger, and every refusal is one that was expected',
  stopped: 'everything is stopped',
} as const;
export type Claim = keyof typeof CLAIMS;

/** What was observed of each claim so far. */
export type Observed = Partial<Record<Claim, string>>;

/** How long the demo waits for one observation: a slow disk and the first incident, with room. */
const WAIT_MS = 60_000;

export function notObserved(claim: Claim, why: string): UserError {
  return new UserError(`not observed: ${CLAIMS[claim]} (${why})`);
}

/** Waits for an observation. @throws UserError naming the claim when it does not come in time. */
export async function observed<T>(
  claim: Claim,
  observation: Promise<T>,
  signal: AbortSignal,
  timeoutMs = WAIT_MS,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const fail = (why: string): void => late.reject(notObserved(claim, why));
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
