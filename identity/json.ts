export type JsonValue = null | boolean | number | bigint | string | JsonArray | JsonObject;
export type JsonArray = readonly JsonValue[];
/** Without a prototype: a member may be called `__proto__` or `constructor` and is only a member. */
export type JsonObject = { readonly [name: string]: JsonValue };

export interface JsonLimits {
  /** Bytes of UTF-8. */
  readonly maxBytes: number;
  /** Objects and arrays inside one another. */
  readonly maxDepth?: number;
  /** Integers that a double cannot hold exactly become `bigint`; else they are rounded. */
  readonly bigints?: boolean;
}

/** Deeper than any token or bundle, far less deep than the stack. */
const MAX_DEPTH = 32;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const INTEGER = /^-?[0-9]{1,40}$/;
const LITERALS: ReadonlyMap<string, JsonValue> = new Map([
  ['true', true],
  ['false', false],
  ['null', null],
]);
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Thrown and caught in this file only. */
class Malformed extends Error {}

/**
 * Reads one JSON text (RFC 8259) strictly: valid UTF-8 without a byte order mark, nothing behind the
 * value, and no member name twice in an object, which `JSON.parse` cannot see (JWT: RFC 7519 4;
 * bundle maps: SPIFFE Trust Domain and Bundle 6.3). `undefined` when it is not that.
 */
export function readJson(bytes: Uint8Array, limits: JsonLimits): JsonValue | undefined {
  if (bytes.length > limits.maxBytes) return undefined;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return new Reader(text, limits).whole();
  } catch {
    return undefined;
  }
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isJsonArray(value: JsonValue | undefined): value is JsonArray {
  return Array.isArray(value);
}

class Reader {
  readonly #text: string;
  readonly #maxDepth: number;
  readonly #bigints: boolean;
  #at = 0;

  constructor(text: string, limits: JsonLimits) {
    this.#text = text;
    this.#maxDepth = limits.maxDepth ?? MAX_DEPTH;
    this.#bigints = limits.bigints ?? false;
  }

  whole(): JsonValue {
    const value = this.#value(0);
    this.#blank();
    if (this.#at !== this.#text.length) throw new Malformed();
    return value;
  }

  #value(depth: number): JsonValue {
    this.#blank();
    const next = this.#text[this.#at];
    if (next === '"') return this.#string();
    if (next === '{' || next === '[') {
      if (depth >= this.#maxDepth) throw new Malformed();
      return next === '{' ? this.#object(depth + 1) : this.#array(depth + 1);
    }
    for (const [word, value] of LITERALS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    return this.#number();
  }

  #object(depth: number): JsonObject {
    const members: Record<string, JsonValue> = Object.create(null);
    this.#at += 1;
    if (this.#take('}')) return members;
    do {
      this.#blank();
      if (this.#text[this.#at] !== '"') throw new Malformed();
      const name = this.#string();
      if (name in members || !this.#take(':')) throw new Malformed();
      members[name] = this.#value(depth);
    } while (this.#take(','));
    if (!this.#take('}')) throw new Malformed();
    return members;
  }

  #array(depth: number): JsonArray {
    const items: JsonValue[] = [];
    this.#at += 1;
    if (this.#take(']')) return items;
    do {
      items.push(this.#value(depth));
    } while (this.#take(','));
    if (!this.#take(']')) throw new Malformed();
    return items;
  }

  /** The token is cut out by hand and decoded by the library, which refuses what is no JSON string. */
  #string(): string {
    const start = this.#at;
    let at = start + 1;
    for (let code = this.#text.charCodeAt(at); code !== QUOTE; code = this.#text.charCodeAt(at)) {
      if (Number.isNaN(code)) throw new Malformed();
      at += code === BACKSLASH ? 2 : 1;
    }
    this.#at = at + 1;
    const value: unknown = JSON.parse(this.#text.slice(start, this.#at));
    // A lone surrogate, written as an escape, is no text that UTF-8 could carry on.
    if (typeof value !== 'string' || !value.isWellFormed()) throw new Malformed();
    return value;
  }

  #number(): number | bigint {
    NUMBER.lastIndex = this.#at;
    const token = NUMBER.exec(this.#text)?.[0];
    if (token === undefined) throw new Malformed();
    this.#at += token.length;
    const value = Number(token);
    if (!Number.isFinite(value)) throw new Malformed();
    const exact = !INTEGER.test(token) || Number.isSafeInteger(value);
    return exact || !this.#bigints ? value : BigInt(token);
  }

  #blank(): void {
    while (' \t\n\r'.includes(this.#text[this.#at] ?? 'x')) this.#at += 1;
  }

  #take(mark: string): boolean {
    this.#blank();
    if (this.#text[this.#at] !== mark) return false;
    this.#at += 1;
    return true;
  }
}
