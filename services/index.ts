import { z } from 'zod';
import type { BusRequest } from '#bus/http-message.ts';
import type { Verified } from '#bus/verified.ts';
import type { RecordId } from '#custody/record.ts';
import type { Outcome } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { Policy } from '#policy/decision.ts';
import { type Authorize, createAuthorizer, type DecisionLogEntry } from './authorize.ts';
import { createCityWorksApp } from './city-works/app.ts';
import { observeWorks } from './city-works/observer.ts';
import { openWorks } from './city-works/works.ts';
import { openDoor, type ServiceReply } from './door.ts';
import { createLlmApp } from './llm/app.ts';
import { EMBEDDING_DIMENSION, embed } from './llm/embedding.ts';
import { createMockModel } from './llm/mock-model.ts';
import { createUpstreamModel } from './llm/upstream.ts';
import { createUsageMeter } from './llm/usage.ts';
import { createMcpApp } from './mcp/app.ts';
import { buildTools, type CallWorks, type ToolData } from './mcp/tools.ts';
import { WORKS_TOOLS } from './mcp/works-tools.ts';
import { createVectorApp, seedRunbooks } from './vector/app.ts';
import { openVectorStore } from './vector/store.ts';

export type { DecisionLogEntry } from './authorize.ts';
export type { ServiceReply } from './door.ts';
export type { CallWorks, ToolData } from './mcp/tools.ts';

const baseUrl = z
  .string()
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
    error: 'an http or https URL, such as http://127.0.0.1:11434/v1',
    abort: true,
  })
  .refine((text) => new URL(text).username === '' && new URL(text).password === '', {
    error: 'no user or password in the URL; the key is given as a secret at start',
  });
const upstream = z.strictObject({
  baseUrl,
  timeoutMs: z.int().min(100).max(120_000).default(20_000),
});

/** What each service takes in the swarm file beside `services`, `models` and `collections`. */
export const serviceSchemas = {
  llm: z.strictObject({ upstream: upstream.optional() }),
  vector: z.strictObject({}),
  mcp: z.strictObject({}),
  'city-works': z.strictObject({}),
} as const;

export type ServiceName = keyof typeof serviceSchemas;
export const SERVICE_NAMES = Object.keys(serviceSchemas) as readonly ServiceName[];

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

export function isServiceName(name: string): name is ServiceName {
  return Object.hasOwn(serviceSchemas, name);
}

/**
 * Opens a service by its name.
 * @throws Error (zod's for `config`) when what the service needs is missing or wrong.
 */
export async function createService(name: ServiceName, deps: ServiceDeps): Promise<Service> {
  const authorize = createAuthorizer({ ...deps, service: name });
  switch (name) {
    case 'llm':
      return openLlm(deps, authorize);
    case 'vector':
      return openVector(deps, authorize);
    case 'mcp':
      return openMcp(deps, authorize);
    case 'city-works':
      return openCityWorks(deps, authorize);
    default:
      throw new Error(`no service "${name satisfies never}"`);
  }
}

function openLlm(deps: ServiceDeps, authorize: Authorize): Service {
  const config = serviceSchemas.llm.parse(deps.config);
  const model =
    config.upstream === undefined
      ? createMockModel(() => Math.floor(deps.now().getTime() / 1000))
      : createUpstreamModel({
          ...config.upstream,
          fetch: deps.fetch ?? fetch,
          ...(deps.upstreamApiKey !== undefined && { apiKey: deps.upstreamApiKey }),
        });
  const app = createLlmApp({
    app: faults(deps),
    authorize,
    models: deps.models ?? [],
    model,
    meter: createUsageMeter(() => deps.now().getTime()),
  });
  return { handle: openDoor(app), close: () => app.close() };
}

function openVector(deps: ServiceDeps, authorize: Authorize): Service {
  serviceSchemas.vector.parse(deps.config);
  const store = openVectorStore({
    path: deps.database ?? ':memory:',
    collections: deps.collections ?? [],
    dimension: EMBEDDING_DIMENSION,
    ...(deps.extensionPath !== undefined && { extensionPath: deps.extensionPath }),
  });
  seedRunbooks(store, 'runbooks', { embed, self: deps.self, now: deps.now });
  const app = createVectorApp({ app: faults(deps), authorize, store, embed, now: deps.now });
  const close = async () => {
    await app.close();
    store.close();
  };
  return { handle: openDoor(app), close };
}

function openMcp(deps: ServiceDeps, authorize: Authorize): Service {
  serviceSchemas.mcp.parse(deps.config);
  const { callWorks, witnessed } = deps;
  if (callWorks === undefined || witnessed === undefined) {
    throw new Error('mcp: needs a way to city works (callWorks) and to the ledger (witnessed)');
  }
  const tools = buildTools(deps.tools ?? {}, WORKS_TOOLS);
  const app = createMcpApp({ app: faults(deps), authorize, tools, callWorks, witnessed });
  return { handle: openDoor(app), close: () => app.close() };
}

async function openCityWorks(deps: ServiceDeps, authorize: Authorize): Promise<Service> {
  serviceSchemas['city-works'].parse(deps.config);
  const works = openWorks(deps.database ?? ':memory:', deps.now);
  const observer = deps.observe && (await observeWorks(deps.observe, works.state));
  const app = createCityWorksApp({ app: faults(deps), authorize, works });
  const close = async () => {
    await observer?.close();
    await app.close();
    works.close();
  };
  const handle = openDoor(app);
  return observer === undefined
    ? { handle, close }
    : { handle, observedAt: observer.address, close };
}

function faults(deps: ServiceDeps) {
  return deps.onFault === undefined ? {} : { onFault: deps.onFault };
}
