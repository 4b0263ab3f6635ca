import { spiffeId } from '#identity/spiffe-id.ts';
import type { PolicyCheck } from '#policy/codes.ts';
import type { DecisionInput } from '#policy/decision.ts';

const ID = {
  sensor: spiffeId('spiffe://city.example/agent/sensor/north/cam-1'),
  analyzer: spiffeId('spiffe://city.example/agent/analyzer/north/analyzer-1'),
  action: spiffeId('spiffe://city.example/agent/action/north/action-1'),
  training: spiffeId('spiffe://city.example/agent/training/north/job-123'),
  mcp: spiffeId('spiffe://city.example/service/mcp'),
  supervisor: spiffeId('spiffe://city.example/platform/supervisor'),
};

const agent = (role: string, name: string) => ({
  token: `${role}-${name}`,
  kind: 'agent',
  role,
  district: 'north',
  name,
});
const nothing = {
  publish: [],
  consume: [],
  services: [],
  models: [],
  train: [],
  collections: {},
  tools: [],
  budget: {},
};

/** A swarm's data as the runtime makes it from a swarm file. */
export const swarmData = {
  trust_domain: 'city.example',
  members: {
    [ID.sensor]: agent('sensor', 'cam-1'),
    [ID.analyzer]: agent('analyzer', 'analyzer-1'),
    [ID.action]: agent('action', 'action-1'),
    [ID.training]: agent('training', 'job-123'),
    [ID.mcp]: { token: 'service-mcp', kind: 'service', role: 'mcp', name: 'mcp' },
    [ID.supervisor]: {
      token: 'platform-supervisor',
      kind: 'platform',
      role: 'supervisor',
      name: 'supervisor',
    },
  },
  grants: {
    [ID.sensor]: { ...nothing, publish: ['reading'] },
    [ID.analyzer]: {
      ...nothing,
      publish: ['finding'],
      consume: ['reading'],
      services: ['llm', 'vector'],
      models: ['city-small'],
      collections: { runbooks: ['read'], 'south-log': ['read'] },
      budget: { calls_per_minute: 10, tokens_per_hour: 1000 },
    },
    [ID.action]: { ...nothing, consume: ['finding'], services: ['mcp'], tools: ['valve.set'] },
    [ID.training]: {
      ...nothing,
      services: ['llm', 'vector'],
      train: ['city-small'],
      collections: { runbooks: ['write'] },
    },
    [ID.mcp]: { ...nothing, services: ['city-works'] },
    [ID.supervisor]: nothing,
  },
  tools: {
    'valve.set': { high_risk: true, arguments: { delta_pct: { min: -10, max: 10 } } },
    'valve.status': { high_risk: false, arguments: {} },
  },
  collections: { runbooks: { district: null }, 'south-log': { district: 'south' } },
};

type Mutable<T> = { -readonly [K in keyof T]: Mutable<T[K]> };
export interface PolicyCase {
  readonly title: string;
  readonly input: DecisionInput;
  /** Attributes that the decision rests on. */
  readonly reads: readonly string[];
  readonly denied: readonly {
    readonly change: (input: DecisionInput) => DecisionInput;
    readonly reason: PolicyCheck;
  }[];
}

const READS_ALWAYS = [
  '.subject.id',
  '.subject.properties.trust_domain',
  '.action.name',
  '.resource.type',
];

function ask(
  id: keyof typeof ID,
  action: string,
  resource: [type: string, id: string, service: string, district?: string | null],
  rest: { arguments?: Record<string, unknown>; usage?: [calls: number, tokens: number] } = {},
): DecisionInput {
  const [type, name, service, district] = resource;
  return {
    subject: { type: 'agent', id: ID[id], properties: { trust_domain: 'city.example' } },
    action: {
      name: action,
      properties: rest.arguments === undefined ? {} : { arguments: rest.arguments },
    },
    resource: {
      type,
      id: name,
      properties: district === undefined ? { service } : { service, district },
    },
    context:
      rest.usage === undefined
        ? {}
        : { usage: { calls_minute: rest.usage[0], tokens_hour: rest.usage[1] } },
  };
}

const as =
  (id: keyof typeof ID) =>
  (input: DecisionInput): DecisionInput => ({
    ...input,
    subject: { ...input.subject, id: ID[id] },
  });
const resource =
  (id: string) =>
  (input: DecisionInput): DecisionInput => ({ ...input, resource: { ...input.resource, id } });
const edit =
  (change: (input: Mutable<DecisionInput>) => void) =>
  (input: DecisionInput): DecisionInput => {
    change(input as Mutable<DecisionInput>);
    return input;
  };
const argument = (name: string, value: unknown) =>
  edit((input) => {
    input.action.properties = { arguments: { [name]: value } };
  });
const usage = (calls_minute: unknown, tokens_hour: unknown) =>
  edit((input) => {
    input.context = { usage: { calls_minute, tokens_hour } };
  });

export const allowedCases: readonly PolicyCase[] = [
  {
    title: 'a chat with the granted model',
    input: ask('analyzer', 'chat', ['model', 'city-small', 'llm'], { usage: [0, 0] }),
    reads: [
      ...READS_ALWAYS,
      '.resource.id',
      '.resource.properties.service',
      '.context.usage.calls_minute',
      '.context.usage.tokens_hour',
    ],
    denied: [
      { change: resource('city-large'), reason: 'model_granted' },
      { change: as('sensor'), reason: 'service_granted' },
      { change: as('training'), reason: 'model_granted' },
      { change: usage(10, 0), reason: 'budget_left' },
      { change: usage(0, 1000), reason: 'budget_left' },
      { change: usage('0', 0), reason: 'budget_left' },
      { change: usage(null, 0), reason: 'budget_left' },
      { change: usage(0, false), reason: 'budget_left' },
    ],
  },
  {
    title: 'an embedding with the granted model',
    input: ask('analyzer', 'embeddings', ['model', 'city-small', 'llm'], { usage: [0, 0] }),
    reads: [...READS_ALWAYS, '.resource.id', '.resource.properties.service', '.context.usage'],
    denied: [{ change: resource('city-large'), reason: 'model_granted' }],
  },
  {
    title: 'training by a pipeline',
    input: ask('training', 'fine_tune', ['model', 'city-small', 'llm']),
    reads: [...READS_ALWAYS, '.resource.id', '.resource.properties.service'],
    denied: [
      { change: as('analyzer'), reason: 'training_granted' },
      { change: resource('city-large'), reason: 'training_granted' },
    ],
  },
  {
    title: 'a query of a readable collection',
    input: ask('analyzer', 'query', ['collection', 'runbooks', 'vector', null]),
    reads: [...READS_ALWAYS, '.resource.id', '.resource.properties.service'],
    denied: [
      { change: resource('other'), reason: 'collection_readable' },
      { change: resource('south-log'), reason: 'own_district' },
      { change: as('training'), reason: 'collection_readable' },
    ],
  },
  {
    title: 'a write to a collection by a pipeline',
    input: ask('training', 'upsert', ['collection', 'runbooks', 'vector', null]),
    reads: [...READS_ALWAYS, '.resource.id', '.resource.properties.service'],
    denied: [
      { change: as('analyzer'), reason: 'collection_writable' },
      { change: as('action'), reason: 'service_granted' },
    ],
  },
  {
    title: 'a tool call within its bounds',
    input: ask('action', 'tools/call', ['tool', 'valve.set', 'mcp', 'north'], {
      arguments: { delta_pct: 10 },
    }),
    reads: [
      ...READS_ALWAYS,
      '.resource.id',
      '.resource.properties.service',
      '.resource.properties.district',
      '.action.properties.arguments.delta_pct',
    ],
    denied: [
      { change: argument('delta_pct', 10.01), reason: 'arguments_within_bounds' },
      { change: argument('delta_pct', '5'), reason: 'arguments_within_bounds' },
      { change: argument('delta_pct', null), reason: 'arguments_within_bounds' },
      { change: argument('force', true), reason: 'arguments_within_bounds' },
      { change: resource('valve.status'), reason: 'tool_granted' },
      { change: resource('unknown'), reason: 'tool_granted' },
      { change: as('analyzer'), reason: 'service_granted' },
      {
        change: edit((input) => {
          input.resource.properties = { service: 'mcp', district: 'south' };
        }),
        reason: 'own_district',
      },
    ],
  },
  {
    title: 'an order by the tool server',
    input: ask('mcp', 'works/order', ['works', 'valve', 'city-works']),
    reads: [...READS_ALWAYS, '.resource.properties.service'],
    denied: [
      { change: as('action'), reason: 'service_granted' },
      { change: as('supervisor'), reason: 'service_granted' },
    ],
  },
  {
    title: 'a ledger query by the supervisor',
    input: ask('supervisor', 'ledger/query', ['service', 'ledger', 'ledger']),
    reads: READS_ALWAYS,
    denied: [{ change: as('sensor'), reason: 'reads_ledger' }],
  },
  {
    title: 'a ledger query by an agent about a record of its own',
    input: edit((input) => {
      input.resource.properties = { service: 'ledger', record_by: ID.sensor };
    })(ask('sensor', 'ledger/query', ['service', 'ledger', 'ledger'])),
    reads: [...READS_ALWAYS, '.resource.properties.record_by'],
    denied: [
      { change: as('analyzer'), reason: 'reads_ledger' },
      {
        change: edit((input) => {
          input.resource.properties = { service: 'ledger', record_by: ID.analyzer };
        }),
        reason: 'reads_ledger',
      },
    ],
  },
];
