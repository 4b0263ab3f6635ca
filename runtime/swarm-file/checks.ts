import { isToken } from '#bus/subjects.ts';
import type { FieldPath, PositionedYaml, SwarmProblem } from './positions.ts';
import type { SwarmFile } from './schema.ts';
import { hint } from './suggest.ts';

/**
 * First segments that the bus uses itself: a district of that name would let an agent's subject
 * fall into the records, requests or replies of others.
 */
const RESERVED_DISTRICTS = ['svc', 'custody', 'ledger', 'platform'];
/** Second segments with a meaning of their own, and the names of the ledger's streams. */
const RESERVED_KINDS = ['ack', 'append', 'ledger'];
/** Token prefixes of services and platform processes. */
const RESERVED_ROLES = ['service', 'platform'];
/** The ledger answers requests as a service of this name. */
const RESERVED_SERVICES = ['ledger'];

export function collectionDistricts(
  collections: SwarmFile['services'][string]['collections'],
): Record<string, string | null> {
  if (Array.isArray(collections))
    return Object.fromEntries(collections.map((name) => [name, null]));
  return Object.fromEntries(
    Object.entries(collections).map(([name, { district }]) => [name, district]),
  );
}

/** What no single field shows: names that clash, and references to things that are not there. */
export function checkReferences(yaml: PositionedYaml, file: SwarmFile): SwarmProblem[] {
  const problems: SwarmProblem[] = [];
  const report = (path: FieldPath, message: string, key?: string): void => {
    problems.push(yaml.problem(path, message, key));
  };
  const roles = Object.entries(file.roles);
  const services = Object.keys(file.services);
  const models = Object.values(file.services).flatMap((service) => service.models);
  const collections = Object.values(file.services).flatMap((service) =>
    Object.keys(collectionDistricts(service.collections)),
  );
  const published = new Set(roles.flatMap(([, role]) => role.publish));

  const listed = (
    path: FieldPath,
    entries: readonly string[],
    known: readonly string[],
    what: string,
  ) => {
    entries.forEach((entry, index) => {
      if (entries.indexOf(entry) !== index)
        report([...path, index], `"${entry}" is listed twice; remove one`);
      else if (!known.includes(entry)) {
        report([...path, index], `no ${what} "${entry}"; ${hint(entry, known)}`);
      }
    });
  };

  for (const name of services) {
    if (RESERVED_SERVICES.includes(name))
      report(['services'], 'this name belongs to the platform; choose another', name);
    if (published.has(name)) {
      // `*.reading.*` of the stream would also catch requests `svc.reading.<caller>`.
      report(
        ['services'],
        'a service may not be named like a message kind; rename one of them',
        name,
      );
    }
    listed(
      ['services', name, 'services'],
      file.services[name]?.services ?? [],
      services.filter((other) => other !== name),
      'other service',
    );
  }

  for (const [name, role] of roles) {
    const at = (field: string): FieldPath => ['roles', name, field];
    if (RESERVED_ROLES.includes(name))
      report(['roles'], 'this name belongs to the platform; choose another', name);
    role.publish.forEach((kind, index) => {
      if (RESERVED_KINDS.includes(kind))
        report([...at('publish'), index], `"${kind}" belongs to the platform; choose another kind`);
    });
    listed(at('publish'), role.publish, role.publish, 'kind');
    listed(at('consume'), role.consume, [...published], 'role publishes');
    listed(at('services'), role.services, services, 'service');
    listed(at('models'), role.models, models, 'service offers model');
    listed(at('train'), role.train, models, 'service offers model');
    if (role.models.length > 0 && role.train.length > 0) {
      report(
        at('train'),
        'who may query models may not train any; give training a role of its own',
      );
    }
    const { callsPerMinute, tokensPerHour } = role.budget;
    if (role.models.length > 0 && (callsPerMinute === undefined || tokensPerHour === undefined)) {
      const fix = 'add budget: { callsPerMinute: 60, tokensPerHour: 100000 }';
      report(
        ['roles'],
        `a role with models needs a budget, or every call is refused; ${fix}`,
        name,
      );
    }
    listed(at('tools'), role.tools, Object.keys(file.tools), 'tool');
    for (const [collection, rights] of Object.entries(role.collections)) {
      if (rights.includes('read') && rights.includes('write')) {
        const fix = 'give writing to a role of its own';
        report(at('collections'), `who reads a collection may not write it; ${fix}`, collection);
      }
      if (!collections.includes(collection)) {
        report(
          at('collections'),
          `no service offers it; ${hint(collection, collections)}`,
          collection,
        );
      }
    }
  }

  checkAgents(file, report);
  return problems;
}

function checkAgents(file: SwarmFile, report: (path: FieldPath, message: string) => void): void {
  const tokens = new Map<string, number>();
  file.agents.forEach((agent, index) => {
    const at = (field: string): FieldPath => ['agents', index, field];
    const role = Object.hasOwn(file.roles, agent.role) ? file.roles[agent.role] : undefined;
    if (role === undefined) {
      report(
        at('role'),
        `no role "${agent.role}" under roles; ${hint(agent.role, Object.keys(file.roles))}`,
      );
    }
    if (RESERVED_DISTRICTS.includes(agent.district)) {
      report(
        at('district'),
        `"${agent.district}" belongs to the platform; choose another district name`,
      );
    }
    const token = `${agent.role}-${agent.name}`;
    const first = tokens.get(token);
    if (first !== undefined) {
      report(at('name'), `token ${token} is already that of agents[${first}]; choose another name`);
    } else if (!isToken(token)) {
      report(
        at('name'),
        `token ${token} is longer than 64 characters; shorten the name or the role's`,
      );
    }
    if (first === undefined) tokens.set(token, index);
    for (const kind of role?.publish ?? []) {
      const heard = file.agents.some(
        (other) =>
          other.district === agent.district && file.roles[other.role]?.consume.includes(kind),
      );
      if (!heard) {
        report(
          at('district'),
          `nobody in district "${agent.district}" consumes "${kind}"; add an agent whose role consumes it`,
        );
      }
    }
  });
}
