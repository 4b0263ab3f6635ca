import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { EntryInput } from '#identity/issuer/entry.ts';
import {
  type AttestationClaims,
  connectLauncherLink,
  type LauncherLink,
} from '#identity/issuer/launcher-link.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { RunningProcess } from '#runtime/launcher/running.ts';

export interface IssuerLinkEvents {
  readonly denied: (pid: number, detail: string) => void;
  readonly issued: (spiffeId: string, serial: string, notAfter: string) => void;
}

/**
 * The launcher's side of the issuer across the issuer's lives. What it attested stays known here,
 * so that a restarted issuer learns of every living process again before it serves one.
 */
export interface IssuerLink {
  /** Public half (SPKI, base64) of the key that signs attestations; it lives in this process only. */
  readonly publicKey: string;
  /** Takes over a newly ready issuer. */
  adopt(issuer: RunningProcess): Promise<Outcome<unknown>>;
  attest(claims: AttestationClaims): Promise<Outcome<unknown>>;
  exited(pid: number, startTime: number): void;
  /** The link of the living issuer; waits for a restart, at most `waitMs`. */
  current(waitMs?: number): Promise<Outcome<LauncherLink>>;
  close(): void;
}

const WAIT_MS = 15_000;

export function createIssuerLink(
  entries: () => readonly EntryInput[],
  events: IssuerLinkEvents,
): IssuerLink {
  const { privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject } =
    generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const living = new Map<string, AttestationClaims>();
  const keyOf = (pid: number, startTime: number): string => `${pid}/${startTime}`;
  let link: LauncherLink | undefined;
  let arrival = Promise.withResolvers<void>();

  async function current(waitMs = WAIT_MS): Promise<Outcome<LauncherLink>> {
    const deadline = performance.now() + waitMs;
    while (link === undefined) {
      const left = deadline - performance.now();
      if (left <= 0) return refuse('ISSUER_UNAVAILABLE', 'the issuer is not running');
      const timer = Promise.withResolvers<void>();
      const timeout = setTimeout(timer.resolve, left);
      await Promise.race([arrival.promise, timer.promise]);
      clearTimeout(timeout);
    }
    return accept(link);
  }

  return {
    publicKey: publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
    adopt: async (issuer) => {
      if (issuer.link === undefined) return refuse('ISSUER_UNAVAILABLE', 'issuer has no link');
      const next = connectLauncherLink(issuer.link, privateKey);
      next.on('denied', ({ pid, detail }) => events.denied(pid, detail));
      next.on('issued', (event) => events.issued(event.spiffeId, event.serial, event.notAfter));
      const set = await next.setEntries(entries());
      if (!set.ok) return set;
      for (const claims of [...living.values()]) {
        const again = await next.attest(claims);
        if (!again.ok) return again;
      }
      link = next;
      arrival.resolve();
      void next.closed.then(() => {
        if (link !== next) return;
        link = undefined;
        arrival = Promise.withResolvers<void>();
      });
      return accept({});
    },
    attest: async (claims) => {
      const found = await current();
      if (!found.ok) return found;
      const attested = await found.value.attest(claims);
      if (attested.ok) living.set(keyOf(claims.pid, claims.startTime), claims);
      return attested;
    },
    exited: (pid, startTime) => {
      living.delete(keyOf(pid, startTime));
      void link?.exited(pid, startTime);
    },
    current,
    close: () => link?.close(),
  };
}
