import type { Member } from '#bus/directory.ts';
import { type SpiffeId, spiffeId } from '#identity/spiffe-id.ts';
import { collectionDistricts } from './checks.ts';
import type { LoadedSwarm } from './load.ts';
import type { SwarmFile } from './schema.ts';

/** The processes every swarm has beside its agents and services. */
export const PLATFORM = ['nats', 'gate-a', 'gate-b', 'ledger', 'supervisor'] as const;
export type PlatformName = (typeof PLATFORM)[number];

/** What an identity may do, in the words of the policy's data document. */
export interface Grants {
  readonly publish: readonly string[];
  readonly consume: readonly string[];
  readonly services: readonly string[];
  readonly models: readonly string[];
  /** Models that it may fine-tune; who may query may not. */
  readonly train: readonly string[];
  readonly collections: Readonly<Record<string, readonly string[]>>;
  readonly tools: readonly string[];
  readonly budget: { readonly calls_per_minute?: number; readonly tokens_per_hour?: number };
}

export interface AgentSpec {
  readonly member: Member;
  readonly district: string;
  /** The role's own keys, validated by its schema. */
  readonly config: unknown;
}

export interface ServiceSpec {
  readonly member: Member;
  readonly models: readonly string[];
  readonly collections: Readonly<Record<string, string | null>>;
  /** The service's own keys, validated by its schema. */
  readonly config: unknown;
}

/** One kind of message from one sender, and who gets it: the consumers of that kind in its district. */
export interface Route {
  readonly sender: SpiffeId;
  readonly kind: string;
  readonly receivers: readonly SpiffeId[];
}

/** One durable consumer to make: `receiver` gets every `kind` of its district. */
export interface Consumption {
  readonly kind: string;
  readonly district: string;
  readonly receiver: Member;
}

/** A swarm as pure data: everything the other parts need, nothing of YAML left. */
export interface Swarm {
  readonly name: string;
  readonly trustDomain: string;
  readonly svidTtlSeconds: number;
  readonly members: readonly Member[];
  readonly agents: readonly AgentSpec[];
  readonly services: readonly ServiceSpec[];
  /** By SPIFFE ID; agents and services only. */
  readonly grants: Readonly<Record<string, Grants>>;
  readonly kinds: readonly string[];
  readonly routes: readonly Route[];
  readonly consumptions: readonly Consumption[];
  readonly tools: SwarmFile['tools'];
  readonly collections: Readonly<Record<string, { readonly district: string | null }>>;
}

const NOTHING: Grants = {
  publish: [],
  consume: [],
  services: [],
  models: [],
  train: [],
  collections: {},
  tools: [],
  budget: {},
};

/** ID and token of a platform process, for wiring that needs one by name. */
export function platformMember(trustDomain: string, name: PlatformName): Member {
  return {
    id: spiffeId(`spiffe://${trustDomain}/platform/${name}`),
    token: `platform-${name}`,
    kind: 'platform',
    role: name,
    name,
  };
}

function grantsOf(role: SwarmFile['roles'][string] | undefined): Grants {
  if (role === undefined) return NOTHING;
  const { callsPerMinute, tokensPerHour } = role.budget;
  return {
    publish: role.publish,
    consume: role.consume,
    services: role.services,
    models: role.models,
    train: role.train,
    collections: role.collections,
    tools: role.tools,
    budget: {
      ...(callsPerMinute === undefined ? {} : { calls_per_minute: callsPerMinute }),
      ...(tokensPerHour === undefined ? {} : { tokens_per_hour: tokensPerHour }),
    },
  };
}

/** Turns a checked swarm file into members, grants and routes. The same file gives the same swarm. */
export function resolveSwarm(loaded: LoadedSwarm): Swarm {
  const { file } = loaded;
  const agents = file.agents.map((agent, index): AgentSpec => {
    const { role, district, name } = agent;
    const id = spiffeId(`spiffe://${file.trustDomain}/agent/${role}/${district}/${name}`);
    const member: Member = { id, token: `${role}-${name}`, kind: 'agent', role, district, name };
    return { member, district, config: loaded.agentConfigs[index] };
  });
  const services = Object.entries(file.services).map(([name, service]): ServiceSpec => {
    const id = spiffeId(`spiffe://${file.trustDomain}/service/${name}`);
    const member: Member = { id, token: `service-${name}`, kind: 'service', role: name, name };
    return {
      member,
      models: service.models,
      collections: collectionDistricts(service.collections),
      config: loaded.serviceConfigs[name],
    };
  });

  const grants: Record<string, Grants> = {};
  for (const { member } of agents) grants[member.id] = grantsOf(file.roles[member.role]);
  for (const { member } of services) {
    grants[member.id] = { ...NOTHING, services: file.services[member.name]?.services ?? [] };
  }

  const consumptions = agents.flatMap(({ member, district }) =>
    (grants[member.id]?.consume ?? []).map((kind) => ({ kind, district, receiver: member })),
  );
  const routes = agents.flatMap(({ member, district }) =>
    (grants[member.id]?.publish ?? []).map((kind) => ({
      sender: member.id,
      kind,
      receivers: consumptions
        .filter((consumption) => consumption.kind === kind && consumption.district === district)
        .map(({ receiver }) => receiver.id),
    })),
  );
  const platform = PLATFORM.map((name) => platformMember(file.trustDomain, name));
  const owned = services.flatMap(({ collections }) => Object.entries(collections));
  return {
    name: file.name,
    trustDomain: file.trustDomain,
    svidTtlSeconds: file.svidTtl,
    members: [...agents, ...services].map(({ member }) => member).concat(platform),
    agents,
    services,
    grants,
    kinds: [...new Set(routes.map(({ kind }) => kind))].sort(),
    routes,
    consumptions,
    tools: file.tools,
    collections: Object.fromEntries(owned.map(([name, district]) => [name, { district }])),
  };
}
