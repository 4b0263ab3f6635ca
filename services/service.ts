import type { BusRequest } from '#bus/http-message.ts';
import type { Verified } from '#bus/verified.ts';
import type { RecordId } from '#custody/record.ts';
import type { Outcome } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { Policy } from '#policy/decision.ts';
import { type Authorize, createAuthorizer, type DecisionLogEntry } from './authorize.ts';
import type { ServiceReply } from './door.ts';
import type { CallWorks, ToolData } from './mcp/tools.ts';

export interface ServiceDeps {
  readonly self: SpiffeId;
  /** The service's own part of the swarm file; parsed by its schema. */
  readonly config: unknown;
  readonly policy: Policy;
  readonly now: () => Date;
  /** Nanoseconds of a monotonic clock. */
  readonly tick: () => bigint;
  /** 128 random bits, base64url. */
  readonly randomId: () => string;
  readonly onDecision: (entry: DecisionLogEntry) => void;
  readonly onFault?: (error: unknown) => void;
  /** File of the service's own database (vector, city-works), or `:memory:`. */
  readonly database?: string;
  /** llm */
  readonly models?: readonly string[];
  readonly fetch?: typeof fetch;
  readonly upstreamApiKey?: string;
  /** vector */
  readonly collections?: readonly string[];
  readonly extensionPath?: string;
  /** mcp */
  readonly tools?: Readonly<Record<string, ToolData>>;
  readonly callWorks?: CallWorks;
  readonly witnessed?: (cause: RecordId) => Promise<Outcome<void>>;
  /** city-works */
  readonly observe?: { readonly socketPath: string } | { readonly port: number };
}

export interface Service {
  /** Answers a verified request; never rejects on foreign input. */
  readonly handle: (verified: Verified<BusRequest>) => Promise<ServiceReply>;
  /** Where the works are observed from outside; city-works only. */
  readonly observedAt?: string;
  close(): Promise<void>;
}

/** Opens one service. @throws Error (zod's for `config`) when what it needs is missing or wrong. */
export type OpenService = (deps: ServiceDeps) => Promise<Service> | Service;

/** Policy's answers for one service, each reported. */
export function authorizerOf(deps: ServiceDeps, service: string): Authorize {
  return createAuthorizer({ ...deps, service });
}

export function faults(deps: ServiceDeps) {
  return deps.onFault === undefined ? {} : { onFault: deps.onFault };
}
