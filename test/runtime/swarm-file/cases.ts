import { z } from 'zod';
import type { SwarmSchemas } from '#runtime/swarm-file/schema.ts';

const source = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('simulated'), seed: z.int() }),
  z.strictObject({ kind: z.literal('csv'), path: z.string() }),
]);
/** What the roles and services of these tests take. */
export const schemas: SwarmSchemas = {
  roles: {
    sensor: z.object({ source }),
    analyzer: z.object({ detector: z.object({ window: z.int().min(2) }).optional() }),
  },
  services: { llm: z.object({ latencyMs: z.int().optional() }), vector: z.object({}) },
};

export const GOOD = `apiVersion: swarmproof/v1
name: town
trustDomain: town.example
svidTtl: 20s
roles:
  sensor: { publish: [reading] }
  analyzer:
    consume: [reading]
    services: [llm]
    models: [small]
    collections: { runbooks: [read] }
    tools: [valve.set]
    budget: { callsPerMinute: 60, tokensPerHour: 1000 }
agents:
  - { role: sensor, district: north, name: cam-1, source: { kind: simulated, seed: 7 } }
  - { role: analyzer, district: north, name: eye, detector: { window: 60 } }
services:
  llm: { models: [small] }
  vector: { collections: [runbooks] }
tools:
  valve.set: { highRisk: true, arguments: { delta: { min: -10, max: 10 } } }
`;

/** One change of the good file, and exactly what is said about it. */
export const TABLE: readonly [name: string, from: string, to: string, said: string][] = [
  [
    'another version',
    'swarmproof/v1',
    'swarmproof/v2',
    '1:13 apiVersion: expected swarmproof/v1, found "swarmproof/v2"',
  ],
  [
    'a swarm name with capitals',
    'name: town',
    'name: Town',
    '2:7 name: expected 1 to 48 of a-z, 0-9, "-" and "_" (no ".", "*", ">", spaces or capitals); found "Town"',
  ],
  ['a misspelt key', 'svidTtl', 'svidTTl', '4:1 svidTTl: unknown key; did you mean "svidTtl"?'],
  [
    'a trust domain with a slash',
    'town.example',
    'town/x',
    '3:14 trustDomain: expected a trust domain: 1 to 255 of a-z, 0-9, ".", "-" and "_", such as city.example; found "town/x"',
  ],
  [
    'a life shorter than 10 s',
    '20s',
    '9s',
    '4:10 svidTtl: expected a duration from 10s to 24h, such as 20s or 5m; found "9s"',
  ],
  ['a life without a unit', '20s', '20', '4:10 svidTtl: expected text, found 20'],
  [
    'a misspelt key of a role',
    'publish: [',
    'publsh: [',
    '6:13 roles.sensor.publsh: unknown key; did you mean "publish"?',
  ],
  [
    "a role that is the platform's",
    '  sensor: { publish',
    '  platform: { publish',
    '6:3 roles.platform: this name belongs to the platform; choose another',
  ],
  [
    "a kind that is the platform's",
    'publish: [reading]',
    'publish: [reading, ack]',
    '6:32 roles.sensor.publish[1]: "ack" belongs to the platform; choose another kind',
  ],
  [
    'a kind listed twice',
    'publish: [reading]',
    'publish: [reading, reading]',
    '6:32 roles.sensor.publish[1]: "reading" is listed twice; remove one',
  ],
  [
    'a consumed kind that nobody publishes',
    'consume: [reading]',
    'consume: [reading, raeding]',
    '8:24 roles.analyzer.consume[1]: no role publishes "raeding"; did you mean "reading"?',
  ],
  [
    'a service that is not there',
    'services: [llm]',
    'services: [lmm]',
    '9:16 roles.analyzer.services[0]: no service "lmm"; did you mean "llm"?',
  ],
  [
    'a model that no service offers',
    'models: [small]\n    coll',
    'models: [huge]\n    coll',
    '10:14 roles.analyzer.models[0]: no service offers model "huge"; known: small',
  ],
  [
    'a collection that no service offers',
    '{ runbooks: [read] }',
    '{ runbook: [read] }',
    '11:20 roles.analyzer.collections.runbook: no service offers it; did you mean "runbooks"?',
  ],
  [
    'a right that does not exist',
    '[read]',
    '[delete]',
    '11:31 roles.analyzer.collections.runbooks[0]: expected read or write, found "delete"',
  ],
  [
    'a tool that is not there',
    'tools: [valve.set]',
    'tools: [valve.get]',
    '12:13 roles.analyzer.tools[0]: no tool "valve.get"; did you mean "valve.set"?',
  ],
  [
    'a budget that is missing beside models',
    '    budget: { callsPerMinute: 60, tokensPerHour: 1000 }\n',
    '',
    '7:3 roles.analyzer: a role with models needs a budget, or every call is refused; add budget: { callsPerMinute: 60, tokensPerHour: 100000 }',
  ],
  [
    'a role that queries and trains',
    'models: [small]\n    coll',
    'models: [small]\n    train: [small]\n    coll',
    '11:12 roles.analyzer.train: who may query models may not train any; give training a role of its own',
  ],
  [
    'a role that reads and writes one collection',
    '[read]',
    '[read, write]',
    '11:20 roles.analyzer.collections.runbooks: who reads a collection may not write it; give writing to a role of its own',
  ],
  [
    'a role of an agent that is not there',
    'role: sensor,',
    'role: sensr,',
    '15:13 agents[0].role: no role "sensr" under roles; did you mean "sensor"?',
  ],
  [
    'a district that is no text',
    'district: north, name: cam-1',
    'district: 7, name: cam-1',
    '15:31 agents[0].district: expected text, found 7',
  ],
  [
    "a district that is the bus' own",
    'district: north, name: cam-1',
    'district: svc, name: cam-1',
    '15:31 agents[0].district: "svc" belongs to the platform; choose another district name',
  ],
  [
    'a kind that nobody in the district consumes',
    'district: north, name: cam-1',
    'district: south, name: cam-1',
    '15:31 agents[0].district: nobody in district "south" consumes "reading"; add an agent whose role consumes it',
  ],
  [
    'a name with a dot',
    'name: cam-1',
    'name: cam.1',
    '15:44 agents[0].name: expected 1 to 48 of a-z, 0-9, "-" and "_" (no ".", "*", ">", spaces or capitals); found "cam.1"',
  ],
  [
    'a name with a wildcard',
    'name: cam-1',
    'name: "cam-*"',
    '15:44 agents[0].name: expected 1 to 48 of a-z, 0-9, "-" and "_" (no ".", "*", ">", spaces or capitals); found "cam-*"',
  ],
  [
    'a name with >',
    'name: cam-1',
    'name: "cam>"',
    '15:44 agents[0].name: expected 1 to 48 of a-z, 0-9, "-" and "_" (no ".", "*", ">", spaces or capitals); found "cam>"',
  ],
  [
    'a name with a space',
    'name: cam-1',
    'name: "cam 1"',
    '15:44 agents[0].name: expected 1 to 48 of a-z, 0-9, "-" and "_" (no ".", "*", ">", spaces or capitals); found "cam 1"',
  ],
  ['a missing name', ', name: cam-1', '', '15:5 agents[0].name: is missing; write text'],
  [
    'a key that the role does not know',
    'source: {',
    'sorce: {',
    '15:51 agents[0].sorce: unknown key; did you mean "source"?',
  ],
  [
    'a source of no known kind',
    'kind: simulated',
    'kind: magic',
    'agents[0].source.kind: expected',
  ],
  [
    'a setting out of range',
    'window: 60',
    'window: 1',
    '16:71 agents[1].detector.window: expected at least 2, found 1',
  ],
  [
    'a service without a program',
    '  vector: {',
    '  vectr: {',
    '19:3 services.vectr: no program for this service; did you mean "vector"?',
  ],
  [
    'a service named like a kind',
    'publish: [reading]',
    'publish: [reading, llm]',
    '18:3 services.llm: a service may not be named like a message kind; rename one of them',
  ],
  [
    'a service that is the ledger',
    '  vector: {',
    '  ledger: {',
    '19:3 services.ledger: this name belongs to the platform; choose another',
  ],
  [
    'limits that exclude each other',
    'min: -10',
    'min: 11',
    '21:52 tools["valve.set"].arguments.delta: expected either { min, max } with min no greater than max, or { enum: [...] }; found a map',
  ],
  [
    'an argument bounded on one side',
    '{ min: -10, max: 10 }',
    '{ max: 10 }',
    'tools["valve.set"].arguments.delta: expected either { min, max }',
  ],
  [
    'a tool with a bad name',
    '  valve.set: {',
    '  "valve set": {',
    '21:3 tools["valve set"]: not a usable name; write words of a-z, 0-9, "-" and "_" joined by ".", for example valve.set',
  ],
  [
    'a key given twice',
    'name: town',
    'name: town\nname: city',
    '3:1 (YAML): Map keys must be unique',
  ],
  ['text that is not YAML', 'roles:', 'roles: [', '(YAML):'],
];
