import { z } from 'zod';

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, change));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The known name nearest to a mistyped one, or undefined when none is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.floor(word.length / 3));
  const ranked = known
    .map((name) => ({ name, far: distance(word.toLowerCase(), name.toLowerCase()) }))
    .filter(({ far }) => far <= limit)
    .sort((a, b) => a.far - b.far);
  return ranked[0]?.name;
}

/** `did you mean "x"?`, or the list of what exists. */
export function hint(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  if (near !== undefined) return `did you mean "${near}"?`;
  return known.length === 0 ? 'none is defined' : `known: ${[...known].sort().join(', ')}`;
}

/** The keys that a schema knows at a path, through arrays, records, defaults and unions. */
export function keysAt(schema: unknown, path: readonly PropertyKey[]): string[] {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodNullable
  ) {
    return keysAt(schema.def.innerType, path);
  }
  if (schema instanceof z.ZodPipe) return keysAt(schema.def.in, path);
  if (schema instanceof z.ZodUnion) {
    return [...new Set(schema.def.options.flatMap((option) => keysAt(option, path)))];
  }
  const [head, ...rest] = path;
  if (schema instanceof z.ZodObject) {
    if (head === undefined) return Object.keys(schema.def.shape);
    return keysAt(schema.def.shape[String(head)], rest);
  }
  if (head === undefined) return [];
  if (schema instanceof z.ZodArray) return keysAt(schema.def.element, rest);
  if (schema instanceof z.ZodRecord) return keysAt(schema.def.valueType, rest);
  return [];
}
