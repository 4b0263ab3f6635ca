import { mutate } from './mutate.ts';
import { caseSeed, random } from './random.ts';

/** A parser with what must hold for any bytes at all. */
export interface Target {
  readonly name: string;
  /** Valid inputs, and such as a test refuses for a reason of its own. */
  readonly seeds: readonly Uint8Array[];
  /** Throws when something that must hold does not; a parser that throws does so by itself. */
  readonly check: (input: Uint8Array) => void;
}

export interface Failure {
  readonly target: string;
  /** Run this case alone: `npm run fuzz -- --target NAME --case N`. */
  readonly case: number;
  readonly input: Uint8Array;
  readonly error: unknown;
}

/** The input of a case is decided by its number and the target's seeds alone. */
export function runCase(target: Target, number: number): Failure | undefined {
  const input = mutate(target.seeds, random(number));
  try {
    target.check(input);
    return undefined;
  } catch (error) {
    return { target: target.name, case: number, input, error };
  }
}

/** Runs cases while `more` says so. Memory is bounded: nothing is kept of a case that held. */
export function fuzz(
  target: Target,
  seed: number,
  more: (done: number) => boolean,
): { readonly done: number; readonly failure?: Failure } {
  let done = 0;
  for (; more(done); done += 1) {
    const failure = runCase(target, caseSeed(seed, done));
    if (failure !== undefined) return { done, failure };
  }
  return { done };
}

/** All that is needed to see a failure again. */
export function describeFailure({ target, case: number, input, error }: Failure): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return [
    `${target} does not hold: npm run fuzz -- --target ${target} --case ${number}`,
    `input (hex): ${Buffer.from(input).toString('hex')}`,
    text,
  ].join('\n');
}
