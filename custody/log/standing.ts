import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { VerifierKey } from './keys.ts';
import { openStatement } from './statement.ts';
import type { Issuance } from './statement-kinds.ts';

/** Of a certificate, what is compared with the statements. */
export interface Certificate {
  readonly id: SpiffeId;
  /** base64url(SHA-256(leaf DER)). */
  readonly thumbprint: string;
}

/** `unknown`: nobody who is pinned has stated that it was issued to that identity. */
export type Standing = 'standing' | 'revoked' | 'unknown';

/** The statements in force about certificates, as somebody holds them who judges certificates. */
export interface StandingBook {
  /** Takes statements in. Returns how many of them were none by a pinned key: these change nothing. */
  add(notes: readonly string[]): number;
  /** One look-up: the signature of a statement is verified once, when it comes. */
  judge(certificate: Certificate): Standing;
  /** Calls back after a statement about that certificate was taken in. Returns what stops it. */
  watch(thumbprint: string, listener: () => void): () => void;
  /** The notes in force, issuances first. */
  notes(): readonly string[];
}

export interface StandingOptions {
  /** Whose statements count. They are not keys of the authority, whose thief they shut out. */
  readonly attesters: readonly VerifierKey[];
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Statements held at most; the eldest go first. A bound on what a flood of them can cost. */
  readonly max?: number;
}

/** Clocks may differ, and a record may be judged a little after its certificate's end. */
const KEPT_AFTER_END_SECONDS = 60;
const SWEEP_EVERY_MS = 1000;
const DEFAULT_MAX = 65_536;

export function createStandingBook(options: StandingOptions): StandingBook {
  const { attesters, clock, max = DEFAULT_MAX } = options;
  const issued = new Map<string, { readonly note: string; readonly statement: Issuance }>();
  /** Thumbprint → the note. */
  const revoked = new Map<string, string>();
  const held = new Set<string>();
  const watching = new Map<string, Set<() => void>>();
  let swept = clock();

  const ended = ({ exp }: Issuance): boolean => (exp + KEPT_AFTER_END_SECONDS) * 1000 <= clock();

  /** Both statements of a certificate go together: without the issuance nobody believes it again. */
  function drop(thumbprint: string): void {
    held.delete(issued.get(thumbprint)?.note ?? '');
    held.delete(revoked.get(thumbprint) ?? '');
    issued.delete(thumbprint);
    revoked.delete(thumbprint);
  }

  /** Nothing is decided by what has ended: a certificate is refused by its own end. */
  function sweep(): void {
    if (clock() - swept >= SWEEP_EVERY_MS) {
      swept = clock();
      for (const [thumbprint, { statement }] of issued) if (ended(statement)) drop(thumbprint);
    }
    for (const kind of [issued, revoked]) {
      for (const oldest of kind.keys()) {
        if (kind.size <= max) break;
        drop(oldest);
      }
    }
  }

  function take(note: string): boolean {
    if (held.has(note)) return true;
    const opened = openStatement(note, attesters, 1);
    if (!opened.ok) return false;
    const statement = opened.value;
    if (statement.kind !== 'issuance' && statement.kind !== 'revocation') return true;
    const { thumbprint } = statement;
    // The first word counts: a certificate has one identity, and no way back from its revocation.
    if (statement.kind === 'revocation') {
      if (revoked.has(thumbprint)) return true;
      revoked.set(thumbprint, note);
    } else {
      if (issued.has(thumbprint) || ended(statement)) return true;
      issued.set(thumbprint, { note, statement });
    }
    held.add(note);
    for (const listener of watching.get(thumbprint) ?? []) listener();
    return true;
  }

  return {
    add(notes) {
      const refused = notes.filter((note) => !take(note)).length;
      sweep();
      return refused;
    },
    judge({ id, thumbprint }) {
      if (revoked.has(thumbprint)) return 'revoked';
      return issued.get(thumbprint)?.statement.id === id ? 'standing' : 'unknown';
    },
    watch(thumbprint, listener) {
      const listeners = watching.get(thumbprint) ?? new Set();
      watching.set(thumbprint, listeners.add(listener));
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0 && watching.get(thumbprint) === listeners) {
          watching.delete(thumbprint);
        }
      };
    },
    notes() {
      sweep();
      return [...[...issued.values()].map(({ note }) => note), ...revoked.values()];
    },
  };
}
