/** Life of one supervised process, as a person or a test sees it. */
export type ProcessState =
  | 'waiting'
  | 'starting'
  | 'ready'
  /** Alive without an identity: the issuer refused it. */
  | 'quarantined'
  /** Ended unexpectedly; the next start is due. */
  | 'backing-off'
  | 'stopping'
  | 'stopped';

export interface ProcessStatus {
  readonly name: string;
  readonly state: ProcessState;
  readonly pid?: number;
  readonly spiffeId?: string;
  /** Starts after unexpected exits. */
  readonly restarts: number;
  /** When the present state began, ISO 8601. */
  readonly since: string;
  /** Of the last SVID issued to it, as the issuer reported. */
  readonly serial?: string;
  readonly notAfter?: string;
  /** Proportional set size; Linux only. */
  readonly pssKiB?: number;
  /** What the process says of itself: its own words, good for a display and for nothing else. */
  readonly report?: Readonly<Record<string, unknown>>;
  /** Why it is quarantined, or what it said when it last ended. */
  readonly detail?: string;
}

export interface SwarmStatus {
  readonly state: 'starting' | 'running' | 'stopping' | 'stopped';
  readonly at: string;
  readonly processes: readonly ProcessStatus[];
  /** Sum over all processes and the supervisor; Linux only. */
  readonly pssKiB?: number;
}

/** What happened to a process. `at`: ISO 8601. */
export type ProcessEvent = { readonly at: string; readonly name: string } & (
  | { readonly type: 'started'; readonly pid: number; readonly restarts: number }
  | { readonly type: 'ready'; readonly pid: number }
  | { readonly type: 'quarantined'; readonly pid: number; readonly detail: string }
  | {
      readonly type: 'exited';
      readonly pid: number;
      readonly expected: boolean;
      readonly code: number | null;
      readonly signal: NodeJS.Signals | null;
      readonly detail: string;
    }
  | { readonly type: 'start-failed'; readonly detail: string }
  | { readonly type: 'restarting'; readonly inMs: number; readonly restarts: number }
);
