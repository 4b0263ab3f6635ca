import type { X509Source, X509Svid } from '#identity/svid.ts';
import type { Standing } from './standing.ts';

/**
 * A source whose SVID is used only when its issuance is entered in the ledger: a record signed earlier
 * would be refused, and by evidence would be under a certificate that nobody had stated. Until a new
 * one stands the one before serves, as long as it is valid. Resolves when the first one stands.
 */
export async function openLoggedSource(
  source: X509Source,
  standing: Standing,
  clock: () => number,
): Promise<X509Source> {
  const listeners = new Set<() => void>();
  const first = Promise.withResolvers<void>();
  let usable: X509Svid | undefined;
  let unwatch = (): void => {};

  /** Takes the newest SVID into use when it stands; else waits for its statement. */
  function look(): void {
    unwatch();
    unwatch = () => {};
    let newest: X509Svid;
    try {
      newest = source.svid();
    } catch {
      return; // Taken away; the next update tells when there is one again.
    }
    if (usable?.thumbprint === newest.thumbprint) return;
    if (standing.judge(newest) !== 'standing') {
      unwatch = standing.watch(newest.thumbprint, tell);
      return;
    }
    usable = newest;
    first.resolve();
  }

  function tell(): void {
    look();
    for (const listener of listeners) listener();
  }

  const stop = source.onUpdate(tell);
  look();
  await first.promise;
  return {
    svid(hint) {
      // Throws when the identity was taken away: what is held back is no identity either.
      const newest = source.svid(hint);
      if (hint !== undefined || usable === undefined) return newest;
      // Refused are both then; of the two, this one may still come to stand.
      return usable.notAfter.getTime() > clock() ? usable : newest;
    },
    bundles: () => source.bundles(),
    onUpdate: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => {
      stop();
      unwatch();
      source.close();
    },
  };
}
