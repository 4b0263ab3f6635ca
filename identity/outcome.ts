/**
 * A refusal is a value with a stable code, never an exception: exceptions are bugs.
 * Each layer keeps its own table of codes and narrows `Code` to it.
 */
export interface Refused<Code extends string = string> {
  readonly ok: false;
  readonly code: Code;
  /** One line for a person; never contains keys, tokens or payloads. */
  readonly detail: string;
}

export interface Accepted<T> {
  readonly ok: true;
  readonly value: T;
}

export type Outcome<T, Code extends string = string> = Accepted<T> | Refused<Code>;

export function accept<T>(value: T): Accepted<T> {
  return { ok: true, value };
}

export function refuse<Code extends string>(code: Code, detail: string): Refused<Code> {
  return { ok: false, code, detail };
}
