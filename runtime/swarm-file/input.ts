import { access, constants, realpath, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { AgentSpec, Swarm } from './resolve.ts';
import { nearest } from './suggest.ts';

const KINDS: Readonly<Record<string, string>> = {
  '.csv': 'csv',
  '.ndjson': 'ndjson',
  '.jsonl': 'ndjson',
};

/** One `--input` option. */
export interface InputOption {
  readonly name: string;
  readonly path: string;
}

/** Splits `cam-1=FILE`. */
export function parseInput(option: string): Outcome<InputOption, 'INPUT_INVALID'> {
  const equals = option.indexOf('=');
  const name = option.slice(0, equals);
  const path = option.slice(equals + 1);
  if (equals < 1 || path === '') {
    return refuse(
      'INPUT_INVALID',
      `--input ${option}: write NAME=FILE, such as cam-1=readings.csv`,
    );
  }
  return accept({ name, path });
}

/** The real path of an input file, which the agent's process alone may then read. */
export async function inputFile(path: string): Promise<Outcome<string, 'INPUT_INVALID'>> {
  try {
    const real = await realpath(path);
    if (!(await stat(real)).isFile()) return refuse('INPUT_INVALID', `${path}: is not a file`);
    await access(real, constants.R_OK);
    return accept(real);
  } catch (error) {
    const denied = (error as NodeJS.ErrnoException).code === 'EACCES';
    return refuse(
      'INPUT_INVALID',
      `${path}: ${denied ? 'may not be read; check its permissions' : 'does not exist'}`,
    );
  }
}

function hasSource(agent: AgentSpec): boolean {
  return typeof agent.config === 'object' && agent.config !== null && 'source' in agent.config;
}

/**
 * The same swarm with one sensor reading a file: its `source` becomes `{kind, path}`, `kind` by the
 * file's extension. A sensor is an agent that has a source; its name or its token names it. With
 * `follow` it reads on at the file's end, which only NDJSON can.
 */
export function withInput(
  swarm: Swarm,
  name: string,
  path: string,
  options: { readonly follow: boolean } = { follow: false },
): Outcome<Swarm, 'INPUT_INVALID'> {
  const kind = KINDS[extname(path).toLowerCase()];
  if (kind === undefined) {
    return refuse(
      'INPUT_INVALID',
      `--input ${name}=${path}: the file must end in .csv, .ndjson or .jsonl`,
    );
  }
  if (options.follow && kind !== 'ndjson') {
    return refuse('INPUT_INVALID', `${name}=${path}: only .ndjson and .jsonl can be followed`);
  }
  const source = { kind, path, ...(options.follow && { follow: true }) };
  const sensors = swarm.agents.filter(hasSource);
  const named = sensors.filter(({ member }) => member.name === name || member.token === name);
  const [found] = named;
  if (found === undefined || named.length > 1) {
    const names = sensors.map(({ member }) => member.name);
    const near = nearest(name, names);
    if (found !== undefined) {
      const tokens = named.map(({ member }) => member.token).join(' or ');
      return refuse(
        'INPUT_INVALID',
        `--input ${name}: names ${named.length} sensors; write ${tokens}`,
      );
    }
    const known =
      names.length === 0
        ? `swarm ${swarm.name} has no sensor`
        : `swarm ${swarm.name} has: ${names.join(', ')}${near === undefined ? '' : ` (did you mean ${near}?)`}`;
    return refuse('INPUT_INVALID', `--input ${name}: no sensor of that name; ${known}`);
  }
  const agents = swarm.agents.map((agent) =>
    agent === found ? { ...agent, config: { ...Object(agent.config), source } } : agent,
  );
  return accept({ ...swarm, agents });
}
