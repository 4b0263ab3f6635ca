import type { z } from 'zod';
import type { FieldPath, PositionedYaml, SwarmProblem } from './positions.ts';
import { hint, keysAt } from './suggest.ts';

type Issue = z.core.$ZodIssue;

function found(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  return JSON.stringify(value)?.slice(0, 60) ?? typeof value;
}

const WORDS: Readonly<Record<string, string>> = {
  object: 'a map',
  record: 'a map',
  array: 'a list',
  string: 'text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
};

function valueAt(root: unknown, path: FieldPath): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

function sentence(issue: Issue, value: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      return value === undefined
        ? `is missing; write ${WORDS[issue.expected] ?? issue.expected}`
        : `expected ${WORDS[issue.expected] ?? issue.expected}, found ${found(value)}`;
    case 'invalid_value':
      return value === undefined
        ? `is missing; write ${issue.values.map(String).join(' or ')}`
        : `expected ${issue.values.map(String).join(' or ')}, found ${found(value)}`;
    case 'too_small':
      return issue.origin === 'array' || issue.origin === 'string'
        ? `needs at least ${issue.minimum} ${issue.origin === 'array' ? 'entry' : 'character'}`
        : `expected ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}, found ${found(value)}`;
    case 'too_big':
      return `expected ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}, found ${found(value)}`;
    case 'invalid_union':
    case 'invalid_format':
    case 'custom':
      return `expected ${issue.message.replace(/^Invalid input: expected /, '')}; found ${found(value)}`;
    default:
      return issue.message;
  }
}

/** Renders zod issues found below `base` as problems with positions and a fix each. */
export function problemsOf(
  yaml: PositionedYaml,
  error: z.ZodError,
  schema: unknown,
  base: FieldPath = [],
  moreKeys: readonly string[] = [],
): SwarmProblem[] {
  return error.issues.flatMap((issue): SwarmProblem[] => {
    const inner = issue.path.filter((part): part is string | number => typeof part !== 'symbol');
    const path = [...base, ...inner];
    if (issue.code === 'unrecognized_keys') {
      const known = [...keysAt(schema, inner), ...(inner.length === 0 ? moreKeys : [])];
      return issue.keys.map((key) => yaml.problem(path, `unknown key; ${hint(key, known)}`, key));
    }
    if (issue.code === 'invalid_key') {
      const key = String(inner.at(-1));
      const why = issue.issues[0]?.message ?? 'another name';
      return [yaml.problem(path.slice(0, -1), `not a usable name; write ${why}`, key)];
    }
    return [yaml.problem(path, sentence(issue, valueAt(yaml.value, path)))];
  });
}
