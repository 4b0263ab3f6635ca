import type { Member } from '#bus/directory.ts';

/**
 * What the launcher and its child say over the IPC channel. The child is told to start only after
 * the issuer has acknowledged its attestation. Secrets in `secrets` are NKey seeds and signing
 * keys of platform processes; they are never written to disk, environment or log.
 */
export interface StartMessage {
  readonly type: 'start';
  readonly self: Member;
  readonly members: readonly Member[];
  readonly trustDomain: string;
  /** Absolute path of the Workload API socket. */
  readonly workloadSocket: string;
  /** `tls://127.0.0.1:PORT`; absent for the issuer. */
  readonly natsUrl?: string;
  /** The broker's own SPIFFE ID, checked on every connection. */
  readonly brokerId?: string;
  /** OPA bundle (`.tar.gz`, base64) and the swarm's grants as its data document. */
  readonly policy?: { readonly bundle: string; readonly data: unknown };
  /** Whom to believe about the ledger and about certificates; absent for issuer and witnesses. */
  readonly custody?: CustodyPins;
  /** Statements in force when the process starts; later ones come as `standing`. */
  readonly standing?: readonly string[];
  /** What this process alone needs, validated by its own schema. */
  readonly config: unknown;
  readonly secrets?: Readonly<Record<string, string>>;
}

/** Keys as c2sp.org/signed-note spells verifier keys; IDs as SPIFFE IDs. */
export interface CustodyPins {
  readonly origin: string;
  readonly log: readonly string[];
  readonly witnesses: readonly string[];
  readonly quorum: number;
  /** Who states what was issued to whom: a key of the launcher's, which is not under the authority. */
  readonly attester: string;
  /** Identities whose certificates need no entry in the ledger; of this swarm's there is none. */
  readonly bootstrap: readonly string[];
}

export type ToChild =
  | StartMessage
  /** To the ledger: a statement, a signed note, to be entered; repeated until it is `entered`. */
  | { readonly type: 'statement'; readonly note: string }
  /** To who judges certificates: statements that the ledger holds, durably. */
  | { readonly type: 'standing'; readonly notes: readonly string[] }
  | { readonly type: 'policy'; readonly bundle: string; readonly data: unknown }
  | { readonly type: 'stop' };

export type FromChild =
  | { readonly type: 'ready' }
  /** The Workload API answered PermissionDenied: the process is alive and has no identity. */
  | { readonly type: 'quarantined'; readonly detail: string }
  /** A refusal that this process decided and cannot record itself: the gates' decisions. */
  | { readonly type: 'refused'; readonly code: string; readonly detail: string }
  | { readonly type: 'status'; readonly status: Readonly<Record<string, unknown>> }
  | { readonly type: 'fatal'; readonly detail: string }
  /** The ledger holds this statement at that place, durably. */
  | { readonly type: 'entered'; readonly note: string; readonly index: number }
  /** A witness: its verifier key, before it is ready. */
  | { readonly type: 'witness'; readonly vkey: string }
  /** A witness cosigned a checkpoint; `time` in seconds. */
  | { readonly type: 'cosigned'; readonly size: number; readonly time: number }
  /**
   * Something that should have happened has not, or should not have: told past the broker. Once for
   * each thing (`about`: a token, say), and once more, `over`, when it is no longer so.
   */
  | {
      readonly type: 'alarm';
      readonly code: string;
      readonly detail: string;
      readonly about?: string;
      readonly over?: true;
    }
  /** Finished spans of its own work, and how many it could not keep; read by who watches. */
  | { readonly type: 'spans'; readonly spans: readonly unknown[]; readonly dropped: number };
