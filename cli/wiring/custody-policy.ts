import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { LogPolicy } from '#custody/log/checkpoint.ts';
import type { VerifierKey } from '#custody/log/keys.ts';
import { openRollover, policyFault, type Rollover } from '#custody/log/rollover.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { writeDurably } from '#runtime/durable-file.ts';
import { keysOf } from './pins.ts';

type PolicyCode = 'CUSTODY_PINS_DAMAGED';

/** The keys of a log as they were at its beginning, and the signed changes of them since. */
export interface CustodyHistory {
  /** From which size on which keys are in force; ascending, never empty. */
  readonly policies: readonly [Rollover, ...Rollover[]];
  /** The changes as notes, oldest first: entries of the ledger. */
  readonly rollovers: readonly string[];
}

const PINS_FILE = 'pins.json';
const ROLLOVER_FOLDER = 'rollovers';
const ROLLOVER_FILE = /^[0-9]{6}\.note$/;

const pinsSchema = z.strictObject({
  origin: z.string(),
  log: z.array(z.string()),
  witnesses: z.array(z.string()),
  quorum: z.number(),
});

export function policyInForce({ policies }: CustodyHistory): LogPolicy {
  return (policies.at(-1) ?? policies[0]).policy;
}

/** Keys in force for a tree of that size. */
export function policyAt(policies: CustodyHistory['policies'], size: number): LogPolicy {
  return (policies.findLast(({ from }) => from <= size) ?? policies[0]).policy;
}

/** What was pinned at the first start, or `undefined` before. @throws Error when it is damaged */
async function readPins(folder: string): Promise<LogPolicy | undefined> {
  let text: string;
  try {
    text = await readFile(join(folder, PINS_FILE), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const pins = pinsSchema.parse(JSON.parse(text));
  const policy = { ...pins, log: keysOf(pins.log), witnesses: keysOf(pins.witnesses) };
  const fault = policyFault(policy);
  if (fault !== undefined) throw new Error(fault);
  return policy;
}

/** Reads the keys of a run's log; `undefined` before its first start has pinned them. */
export async function readHistory(
  folder: string,
): Promise<Outcome<CustodyHistory | undefined, PolicyCode>> {
  const damaged = (path: string, why: string) =>
    refuse('CUSTODY_PINS_DAMAGED' as const, `${path}: ${why}; put the file back as it was`);
  const pinsPath = join(folder, PINS_FILE);
  let pins: LogPolicy | undefined;
  try {
    pins = await readPins(folder);
  } catch (error) {
    return damaged(pinsPath, error instanceof SyntaxError ? 'is not JSON' : 'cannot be read');
  }
  const notes = join(folder, ROLLOVER_FOLDER);
  await mkdir(notes, { recursive: true, mode: 0o700 });
  const names = (await readdir(notes)).filter((name) => ROLLOVER_FILE.test(name)).sort();
  if (pins === undefined) {
    return names.length === 0 ? accept(undefined) : damaged(pinsPath, 'is missing');
  }
  const policies: [Rollover, ...Rollover[]] = [{ from: 0, policy: pins }];
  const rollovers: string[] = [];
  for (const [index, name] of names.entries()) {
    const path = join(notes, name);
    const note = await readFile(path, 'utf8');
    const { policy, from } = policies.at(-1) ?? policies[0];
    const opened = openRollover(note, policy);
    if (!opened.ok) return damaged(path, opened.detail);
    if (name !== fileOf(index) || opened.value.from <= from) {
      return damaged(path, 'does not follow the change before it');
    }
    policies.push(opened.value);
    rollovers.push(note);
  }
  return accept({ policies, rollovers });
}

function fileOf(index: number): string {
  return `${String(index + 1).padStart(6, '0')}.note`;
}

/** Pins the keys of a log that begins. */
export async function keepPins(folder: string, policy: LogPolicy): Promise<void> {
  const { origin, log, witnesses, quorum } = policy;
  const vkeys = (keys: readonly VerifierKey[]): string[] => keys.map(({ vkey }) => vkey);
  const pins = { origin, log: vkeys(log), witnesses: vkeys(witnesses), quorum };
  await writeDurably(join(folder, PINS_FILE), `${JSON.stringify(pins, null, 2)}\n`);
}

/** Adds a change: with this write, and not before, the new keys are in force. */
export async function keepRollover(
  folder: string,
  { rollovers }: CustodyHistory,
  note: string,
): Promise<void> {
  await writeDurably(join(folder, ROLLOVER_FOLDER, fileOf(rollovers.length)), note);
}
