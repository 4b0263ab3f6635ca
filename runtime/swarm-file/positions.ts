import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
} from 'yaml';

export type FieldPath = readonly (string | number)[];

/** One thing wrong in a swarm file: where, which field, and what to write instead. */
export interface SwarmProblem {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  readonly field: string;
  readonly message: string;
}

/** A YAML text that remembers where each value stands. */
export interface PositionedYaml {
  readonly value: unknown;
  readonly problems: readonly SwarmProblem[];
  /** The problem at a path; at its key when `key` is set; at the nearest parent when it is absent. */
  problem(path: FieldPath, message: string, key?: string): SwarmProblem;
}

/** `agents[0].district`; keys with other characters stand in brackets: `tools["valve.set"]`. */
export function fieldName(path: FieldPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text === '' ? '(file)' : text;
}

export function formatProblem(problem: SwarmProblem): string {
  return `${problem.file}:${problem.line}:${problem.column} ${problem.field}: ${problem.message}`;
}

function child(document: Document, node: unknown, part: string | number): unknown {
  const target = isAlias(node) ? node.resolve(document) : node;
  if (isMap(target) || isSeq(target)) return target.get(part, true);
  return undefined;
}

function keyNode(document: Document, node: unknown, key: string): unknown {
  const target = isAlias(node) ? node.resolve(document) : node;
  if (!isMap(target)) return undefined;
  return target.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === key)?.key;
}

/** Parses one YAML document. Problems of syntax (duplicate keys too) are in `problems`. */
export function parseYaml(file: string, text: string): PositionedYaml {
  const counter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: counter,
    prettyErrors: false,
    uniqueKeys: true,
    version: '1.2',
  });
  const at = (offset: number, field: string, message: string): SwarmProblem => {
    const { line, col } = counter.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1), field, message };
  };
  const problems = [...document.errors, ...document.warnings].map((error) =>
    at(error.pos[0], '(YAML)', error.message.split('\n')[0] ?? 'is not valid YAML'),
  );
  let value: unknown;
  if (problems.length === 0) {
    try {
      value = document.toJS();
    } catch (error) {
      // yaml throws on alias bombs, the one thing it finds only when it expands.
      problems.push(at(0, '(YAML)', error instanceof Error ? error.message : 'cannot be expanded'));
    }
  }
  return {
    value,
    problems,
    problem: (path, message, key) => {
      let node: unknown = document.contents;
      for (const part of path) {
        const next = child(document, node, part);
        if (!isNode(next)) break;
        node = next;
      }
      const named = key === undefined ? undefined : keyNode(document, node, key);
      const found = isNode(named) ? named : isNode(node) ? node : undefined;
      const full = key === undefined ? path : [...path, key];
      return at(found?.range?.[0] ?? 0, fieldName(full), message);
    },
  };
}
