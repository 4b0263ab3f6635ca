import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { type Accepted, accept, type Refused } from '#identity/outcome.ts';
import { checkReferences } from './checks.ts';
import { problemsOf } from './issues.ts';
import { formatProblem, type PositionedYaml, parseYaml, type SwarmProblem } from './positions.ts';
import {
  AGENT_KEYS,
  SERVICE_KEYS,
  type SwarmFile,
  type SwarmSchemas,
  swarmFileSchema,
} from './schema.ts';
import { hint } from './suggest.ts';

/** A swarm file that holds together; `agentConfigs[i]` belongs to `file.agents[i]`. */
export interface LoadedSwarm {
  readonly path: string;
  readonly file: SwarmFile;
  /** The role's own keys of each agent, as its schema returned them. */
  readonly agentConfigs: readonly unknown[];
  /** The service's own keys, as its schema returned them, by service name. */
  readonly serviceConfigs: Readonly<Record<string, unknown>>;
}

export interface SwarmRefused extends Refused<'SWARM_FILE_UNREADABLE' | 'SWARM_FILE_INVALID'> {
  /** In the order of the file; `detail` holds the same, one a line. */
  readonly problems: readonly SwarmProblem[];
}

/** A swarm of thousands of agents stays far below; a file beyond is not a swarm file. */
const MAX_BYTES = 4 * 1024 * 1024;

function invalid(problems: readonly SwarmProblem[]): SwarmRefused {
  const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  const detail = sorted.map(formatProblem).join('\n');
  return { ok: false, code: 'SWARM_FILE_INVALID', detail, problems: sorted };
}

/** A plain object schema drops unknown keys in silence; a typing error in a swarm file must not pass. */
function strict(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodObject && schema.def.catchall === undefined
    ? schema.strict()
    : schema;
}

function without(entry: Readonly<Record<string, unknown>>, keys: readonly string[]): unknown {
  return Object.fromEntries(Object.entries(entry).filter(([key]) => !keys.includes(key)));
}

function ownPart(
  yaml: PositionedYaml,
  schema: z.ZodType,
  entry: Readonly<Record<string, unknown>>,
  common: readonly string[],
  base: readonly (string | number)[],
): { config: unknown; problems: SwarmProblem[] } {
  const parsed = strict(schema).safeParse(without(entry, common));
  if (parsed.success) return { config: parsed.data, problems: [] };
  return { config: undefined, problems: problemsOf(yaml, parsed.error, schema, base, common) };
}

/** Parses and checks the text of a swarm file; `path` is only its name in problems. */
export function parseSwarm(
  path: string,
  text: string,
  schemas: SwarmSchemas,
): Accepted<LoadedSwarm> | SwarmRefused {
  const yaml = parseYaml(path, text);
  if (yaml.problems.length > 0) return invalid(yaml.problems);
  const parsed = swarmFileSchema.safeParse(yaml.value);
  if (!parsed.success) return invalid(problemsOf(yaml, parsed.error, swarmFileSchema));
  const file = parsed.data;
  const problems: SwarmProblem[] = [];

  const agentConfigs = file.agents.map((agent, index) => {
    const schema = Object.hasOwn(schemas.roles, agent.role) ? schemas.roles[agent.role] : undefined;
    if (schema === undefined) {
      const text = `no program for role "${agent.role}"; ${hint(agent.role, Object.keys(schemas.roles))}`;
      problems.push(yaml.problem(['agents', index, 'role'], text));
      return undefined;
    }
    const own = ownPart(yaml, schema, agent, AGENT_KEYS, ['agents', index]);
    problems.push(...own.problems);
    return own.config;
  });

  const serviceConfigs: Record<string, unknown> = {};
  for (const [name, service] of Object.entries(file.services)) {
    const schema = Object.hasOwn(schemas.services, name) ? schemas.services[name] : undefined;
    if (schema === undefined) {
      const text = `no program for this service; ${hint(name, Object.keys(schemas.services))}`;
      problems.push(yaml.problem(['services'], text, name));
      continue;
    }
    const own = ownPart(yaml, schema, service, SERVICE_KEYS, ['services', name]);
    problems.push(...own.problems);
    serviceConfigs[name] = own.config;
  }

  problems.push(...checkReferences(yaml, file));
  if (problems.length > 0) return invalid(problems);
  return accept({ path, file, agentConfigs, serviceConfigs });
}

/** Reads and checks a swarm file. Refused with every problem at once, each with its position. */
export async function loadSwarm(
  path: string,
  schemas: SwarmSchemas,
): Promise<Accepted<LoadedSwarm> | SwarmRefused> {
  const unreadable = (why: string): SwarmRefused => ({
    ok: false,
    code: 'SWARM_FILE_UNREADABLE',
    detail: `${path}: ${why}`,
    problems: [],
  });
  try {
    const info = await stat(path);
    if (!info.isFile())
      return unreadable('is not a file; name a swarm file such as swarms/smart-city.yaml');
    if (info.size > MAX_BYTES) return unreadable('is larger than 4 MiB, which no swarm file needs');
    const bytes = await readFile(path);
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return parseSwarm(path, text, schemas);
  } catch (error) {
    if (error instanceof TypeError) return unreadable('is not UTF-8 text');
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return unreadable('does not exist; swarm files live in swarms/');
    return unreadable(
      code === 'EACCES' ? 'may not be read; check its permissions' : `cannot be read (${code})`,
    );
  }
}
