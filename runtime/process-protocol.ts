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
  /** What this process alone needs, validated by its own schema. */
  readonly config: unknown;
  readonly secrets?: Readonly<Record<string, string>>;
}

export type ToChild =
  | StartMessage
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
  /** Finished spans of its own work, and how many it could not keep; read by who watches. */
  | { readonly type: 'spans'; readonly spans: readonly unknown[]; readonly dropped: number };
