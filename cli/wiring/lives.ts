import type { Issuance } from '#custody/log/statement.ts';
import type { AttestationClaims, PendingReply } from '#identity/issuer/launcher-link.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { thumbprintOf } from '#identity/x509/verify.ts';

/** A row of the issuer's log, as the issuer tells it: what happened by its word alone. */
export type IssuedRow = PendingReply['rows'][number]['issuance'];

/** Who holds a certificate that this process vouches for. */
export interface Holder {
  /** When its process ended, milliseconds; never of what was minted for a key of this process. */
  ended(): number | undefined;
}

/**
 * What this process saw itself: which processes it started from which image, since when and until
 * when, and what was minted for its own keys. By nothing else does it vouch for a certificate; the
 * issuer's word that it was issued is what a thief of the issuer's key could give, too.
 */
export interface Lives {
  /** Before the issuer is told of the process: nothing is issued to it earlier. */
  attested(claims: AttestationClaims): void;
  exited(pid: number, startTime: number): void;
  minted(leaf: Uint8Array, spiffeId: string): void;
  vouch(row: IssuedRow): Outcome<Holder, 'ISSUANCE_NOT_ATTESTED'>;
}

interface Life {
  readonly claims: AttestationClaims;
  readonly from: number;
  until: number | undefined;
}

/** The issuer's rows count whole seconds, and its word may come after the end of who it is about. */
const SLACK_MS = 2000;
/** A row may be read long after: the ledger may have been away, or the issuer. */
const KEPT_MS = 3_600_000;
const MAX_ENDED = 10_000;
const MAX_MINTED = 4096;
const MINTED: Holder = { ended: () => undefined };

export function createLives(clock: () => number): Lives {
  const lives = new Map<string, Life>();
  /** Thumbprint → SPIFFE ID. */
  const minted = new Map<string, string>();
  const key = (pid: number, startTime: number): string => `${pid}@${startTime}`;

  function forget(): void {
    let ended = [...lives].filter(([, { until }]) => until !== undefined);
    const old = clock() - KEPT_MS;
    ended = ended.filter(([name, { until = 0 }]) => until > old || !lives.delete(name));
    for (const [name] of ended.slice(0, Math.max(0, ended.length - MAX_ENDED))) lives.delete(name);
  }

  /** One issued while it lived, to the identity and the image that it was started as. */
  function isOf({ claims, from, until }: Life, row: IssuedRow): boolean {
    const { workload, image } = claims;
    const at = row.issued_at * 1000;
    return (
      row.spiffe_id === workload.spiffeId &&
      row.selectors.includes(`swarm:instance:${workload.instance}`) &&
      row.selectors.includes(`swarm:image_digest:${image.digest}`) &&
      at + SLACK_MS >= from &&
      (until === undefined || at <= until + SLACK_MS)
    );
  }

  return {
    attested: (claims) => {
      forget();
      lives.set(key(claims.pid, claims.startTime), { claims, from: clock(), until: undefined });
    },
    exited: (pid, startTime) => {
      const life = lives.get(key(pid, startTime));
      if (life !== undefined) life.until ??= clock();
    },
    minted: (leaf, spiffeId) => {
      minted.set(thumbprintOf(leaf), spiffeId);
      const [oldest] = minted.keys();
      if (minted.size > MAX_MINTED && oldest !== undefined) minted.delete(oldest);
    },
    vouch: (row) => {
      if (minted.get(row.thumbprint) === row.spiffe_id) return accept(MINTED);
      // The youngest: a process that was started again has the same identity and image.
      const life = [...lives.values()].reverse().find((one) => isOf(one, row));
      if (life !== undefined) return accept({ ended: () => life.until });
      const why = `a certificate of ${row.spiffe_id} was issued, serial ${row.serial}, to no process that was started for it`;
      return refuse('ISSUANCE_NOT_ATTESTED', why);
    },
  };
}

const LINE = /^[!-~ ]{1,256}$/;
const MAX_SELECTORS = 64;

/** The statement of a row; selectors that a statement cannot hold are left out of it. */
export function issuanceOf(row: IssuedRow): Issuance {
  return {
    kind: 'issuance',
    id: row.spiffe_id,
    thumbprint: row.thumbprint,
    serial: row.serial,
    nbf: row.not_before,
    exp: row.not_after,
    selectors: row.selectors
      .filter((text) => LINE.test(text))
      .sort()
      .slice(0, MAX_SELECTORS),
  };
}
