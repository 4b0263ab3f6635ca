/**
 * What a custody document may consist of. `true`, `null` and fractions have no use here, and each
 * thing left out is one that two implementations cannot spell differently.
 */
export type CanonicalValue =
  | string
  | number
  | false
  | readonly CanonicalValue[]
  | { readonly [member: string]: CanonicalValue };

/** Deeper than any document of this project; bounds recursion on foreign input. */
const MAX_DEPTH = 8;

/**
 * RFC 8785 (JCS) text of a value, or `undefined` when it is outside the set above: floats, unsafe
 * integers, `null`, `true`, lone surrogates (which 3.2.2.2 makes an error), exotic objects.
 */
export function canonicalise(value: unknown): string | undefined {
  return write(value, MAX_DEPTH);
}

/** For values this project built. @throws Error when the value is outside the set: a bug. */
export function canonicalText(value: CanonicalValue): string {
  const text = canonicalise(value);
  if (text === undefined) throw new Error('not a canonical value');
  return text;
}

/**
 * Is this the canonical text of the value that `JSON.parse` made of it? Without building the text
 * anew where members are in order already, which is the honest case: readers of long files wait
 * for it.
 */
export function isCanonical(value: unknown, text: string): boolean {
  if (isOrdered(value, MAX_DEPTH) && JSON.stringify(value) === text) return true;
  // Members whose names are numbers change places in an object: only writing tells.
  return canonicalise(value) === text;
}

/** Only what `write` takes, and members in the order in which it writes them. */
function isOrdered(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value === 'number') return Number.isSafeInteger(value);
  if (typeof value === 'boolean') return !value;
  if (typeof value !== 'object' || value === null || depth === 0) return false;
  if (Array.isArray(value)) return value.every((item) => isOrdered(item, depth - 1));
  let before = '';
  for (const name of Object.keys(value)) {
    if (name < before || !name.isWellFormed()) return false;
    before = name;
    if (!isOrdered((value as Record<string, unknown>)[name], depth - 1)) return false;
  }
  return true;
}

function write(value: unknown, depth: number): string | undefined {
  switch (typeof value) {
    case 'string':
      // ECMAScript's JSON string escapes are those of RFC 8785 3.2.2.2, surrogates aside.
      return value.isWellFormed() ? JSON.stringify(value) : undefined;
    case 'number':
      return Number.isSafeInteger(value) ? String(value) : undefined;
    case 'boolean':
      return value ? undefined : 'false';
    case 'object':
      if (value === null || depth === 0) return undefined;
      return Array.isArray(value) ? writeArray(value, depth) : writeObject(value, depth);
    default:
      return undefined;
  }
}

function writeArray(items: readonly unknown[], depth: number): string | undefined {
  let text = '[';
  for (let index = 0; index < items.length; index++) {
    const item = write(items[index], depth - 1);
    if (item === undefined) return undefined;
    text += index === 0 ? item : `,${item}`;
  }
  return `${text}]`;
}

function writeObject(value: object, depth: number): string | undefined {
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return undefined;
  let text = '{';
  // The default sort compares UTF-16 code units, as 3.2.3 wants.
  for (const name of Object.keys(value).sort()) {
    const key = write(name, depth);
    const member = write((value as Record<string, unknown>)[name], depth - 1);
    if (key === undefined || member === undefined) return undefined;
    text += text === '{' ? `${key}:${member}` : `,${key}:${member}`;
  }
  return `${text}}`;
}
