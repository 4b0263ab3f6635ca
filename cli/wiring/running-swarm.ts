import type { BundleSet } from '#identity/svid.ts';
import type { RuleLocation } from '#policy/compile.ts';
import type { Isolation } from '#runtime/launcher/isolation.ts';
import type { IssuerLink } from '#runtime/launcher/issuer-link.ts';
import type { RunFolder } from '#runtime/run-folder.ts';
import type { ProcessEvent, SwarmStatus } from '#runtime/supervisor/status.ts';
import type { Swarm } from '#runtime/swarm-file/resolve.ts';
import type { Alarms } from './alarms.ts';
import type { Control } from './controls.ts';
import type { ServedEvidence } from './evidence-control.ts';
import type { IssuanceLog } from './issuance-log.ts';
import type { LedgerView } from './ledger-view.ts';
import type { Observed } from './recorder.ts';
import type { AgentReplacer } from './rollout.ts';
import type { OtlpTarget, Traces } from './traces.ts';
import type { WitnessedSize } from './witnesses.ts';

export interface SwarmOptions {
  /** Path of the swarm file. */
  readonly file: string;
  /** `NAME=FILE`, one per `--input`. */
  readonly inputs: readonly string[];
  readonly runPath: string;
  readonly runId: string;
  readonly natsServer: string;
  /** Somebody else runs the broker on this port of 127.0.0.1; `natsServer` is not used then. */
  readonly brokerPort?: number | undefined;
  readonly opa: string | undefined;
  readonly upstreamApiKey?: string;
  /** First uid of the range for its processes, which must then be had; `off`: one uid for all. */
  readonly uids?: number | 'off' | undefined;
  /** Where spans go beside the run's own file. */
  readonly otlp?: OtlpTarget;
  /** Where an image lies that is not taken from the cache; for demonstrations of a changed one. */
  readonly imageFolder?: (name: string) => string;
  /** Controls that are off, each by another module of the wiring in the images; default: none. */
  readonly off?: readonly Control[];
  /** Told of images that have to be built for that first. */
  readonly progress?: (line: string) => void;
  /** Aborts the start; a swarm that runs is ended by its own `stop`. */
  readonly signal?: AbortSignal;
}

export interface RunningSwarm extends Pick<IssuerLink, 'administer'> {
  readonly swarm: Swarm;
  readonly run: RunFolder;
  readonly ledger: LedgerView;
  /** The roots under which records are judged. */
  readonly trust: () => BundleSet;
  /** Check → where its rule stands, of the bundle in force. */
  readonly rules: () => Readonly<Record<string, RuleLocation>>;
  /** Socket on which the city works show their state. */
  readonly observe: string;
  readonly traces: Traces;
  /** What did not happen and should have, or the other way round. */
  readonly alarms: Pick<Alarms, 'list' | 'onAlarm'>;
  /** Rolls out another signed image, or another input, to one agent: by its token or name. */
  readonly replaceAgent: AgentReplacer['replace'];
  readonly rollbackAgent: AgentReplacer['rollback'];
  /** How its processes are kept apart, and where they are not: why. */
  readonly isolation: Isolation;
  /** What evidence of it is made of, and whom its readers pin. */
  readonly evidence: ServedEvidence;
  /** How far the log is witnessed, as the witnesses themselves told. */
  witnessed(): { readonly quorum: number; readonly newest?: WitnessedSize | undefined };
  /** What was issued, as far as the launcher states it in the ledger. */
  readonly issuances: Pick<IssuanceLog, 'status'>;
  status(): SwarmStatus;
  onEvent(listener: (event: ProcessEvent) => void): () => void;
  /** The rules changed while the swarm runs, or new ones could not be loaded: one line. */
  onPolicy(listener: (what: string) => void): () => void;
  onIssued(listener: (issued: Issued) => void): () => void;
  /** Refusals that no door makes, when they happen: the issuer's, the gates' and the broker's. */
  onRefusal(listener: (refusal: Observed) => void): () => void;
  stop(): Promise<void>;
}

export interface Issued {
  readonly spiffeId: string;
  readonly serial: string;
  readonly notAfter: string;
}
