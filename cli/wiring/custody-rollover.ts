import { join } from 'node:path';
import type { LogPolicy } from '#custody/log/checkpoint.ts';
import type { NoteSigner, VerifierKey } from '#custody/log/keys.ts';
import { openRollover, type Rollover, signRollover } from '#custody/log/rollover.ts';
import type { WitnessMemory } from '#custody/log/witness.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { stateRefusal } from '#runtime/file-errors.ts';
import { keySecret, makeKeyFile, nextKeyFile } from '#runtime/key-file.ts';
import { lockState } from '#runtime/state-lock.ts';
import { WITNESS_NAMES, type WitnessName } from '#runtime/witness/names.ts';
import { openWitnessSelf, prepareWitness, type WitnessPlace } from '#runtime/witness/store.ts';
import {
  type CustodyKeys,
  LEDGER_KEY_FILE,
  ledgerSigner,
  openCustodyKeys,
} from './custody-keys.ts';
import { keepRollover, policyInForce } from './custody-policy.ts';
import { witnessKeyName } from './witnesses.ts';

export interface RolloverRequest {
  /** Absolute path of the folder of a run whose swarm is down. */
  readonly runPath: string;
  /** A new key for the log. */
  readonly log: boolean;
  /** Witnesses that get a new key and keep their memory. */
  readonly witnesses: readonly WitnessName[];
  /** Witnesses in whose place another begins: theirs is lost, damaged or not to be believed. */
  readonly replaced: readonly WitnessName[];
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** A witness in force, or why it cannot agree. */
type Present =
  | { readonly ok: true; readonly signer: NoteSigner; readonly memory: WitnessMemory | undefined }
  | { readonly ok: false; readonly detail: string };

const failed = (detail: string) => refuse('ROLLOVER_FAILED' as const, detail);

/**
 * Changes the keys of a log while its swarm is down: a key of the log in force and a quorum of the
 * witnesses in force sign the change, and each new key with them. It is in force with the write of
 * the note; whatever ends this before has changed nothing, and whatever ends it after is finished by
 * the next start. From the entry on that follows the last witnessed one, the new keys count.
 */
export async function rollOver(request: RolloverRequest): Promise<Outcome<Rollover>> {
  const lock = await lockState(request.runPath);
  if (!lock.ok) return lock;
  try {
    return await whileDown(request);
  } catch (error) {
    return stateRefusal(request.runPath, error);
  } finally {
    lock.value.release();
  }
}

async function whileDown(request: RolloverRequest): Promise<Outcome<Rollover>> {
  const { runPath, witnesses, replaced, clock } = request;
  const folder = join(runPath, 'custody');
  const keys = await openCustodyKeys({ folder });
  if (!keys.ok) return keys;
  const { origin, history, trustDomain } = keys.value;
  if (history === undefined) return failed(`${folder}: no swarm has pinned keys here yet`);
  const before = policyInForce(history);
  const placeOf = (name: WitnessName): WitnessPlace => {
    const keyName = witnessKeyName(trustDomain, name);
    const pinned = before.witnesses.find((key) => key.name === keyName)?.vkey;
    return { folder: join(runPath, 'witnesses', name), keyName, pinned };
  };

  const present = new Map<WitnessName, Present>();
  for (const name of WITNESS_NAMES) present.set(name, await readWitness(placeOf(name), origin));
  const missing = witnesses.find((name) => present.get(name)?.ok !== true);
  if (missing !== undefined) {
    return failed(
      `${missing} cannot agree to a new key of its own: ${whyOf(present.get(missing))}`,
    );
  }
  // Who is replaced is not asked: it may be the thief of its key that would answer.
  const agreeing = [...present].flatMap(([name, one]) =>
    one.ok && !replaced.includes(name) ? [one] : [],
  );
  if (agreeing.length < before.quorum) {
    const why = [...present.values()].find(({ ok }) => !ok);
    return failed(`${agreeing.length} of ${before.quorum} witnesses can agree: ${whyOf(why)}`);
  }
  const newest = agreeing
    .flatMap(({ memory }) => (memory === undefined ? [] : [memory]))
    .sort((a, b) => b.size - a.size)[0];

  const fresh: NoteSigner[] = [];
  for (const name of WITNESS_NAMES) {
    if (!witnesses.includes(name) && !replaced.includes(name)) continue;
    // Another witness begins where the others are: it would take any past for the first.
    const memory = replaced.includes(name) && new Map(newest && [[origin, newest]]);
    const next = await prepareWitness(placeOf(name), memory || undefined);
    if (!next.ok) return next;
    fresh.push(next.value);
  }
  if (request.log) {
    const next = await makeKeyFile(nextKeyFile(join(folder, LEDGER_KEY_FILE)));
    if (!next.ok) return next;
    fresh.push(ledgerSigner(origin, keySecret(next.value)));
  }
  // Each change is itself an entry, entered before the next head: two in a row have a place each.
  const last = history.policies.at(-1)?.from ?? 0;
  const from = Math.max(newest?.size ?? 0, last) + 1;
  const rollover = { from, policy: policyWith(before, fresh) };
  const old = [
    ledgerSigner(origin, keys.value.ledgerSecret),
    ...agreeing.map(({ signer }) => signer),
  ];
  const note = signRollover(rollover, [...old, ...fresh], Math.floor(clock() / 1000));
  const opened = openRollover(note, before);
  if (!opened.ok) return opened;
  await keepRollover(folder, history, note);
  return finish(keys.value, folder, placeOf, opened.value);
}

/** New keys in the places of those whose names they bear. */
function policyWith(before: LogPolicy, fresh: readonly NoteSigner[]): LogPolicy {
  const of = (key: VerifierKey): VerifierKey =>
    fresh.find(({ verifier }) => verifier.name === key.name && verifier.use === key.use)
      ?.verifier ?? key;
  return { ...before, log: before.log.map(of), witnesses: before.witnesses.map(of) };
}

async function readWitness(place: WitnessPlace, origin: string): Promise<Present> {
  try {
    const self = await openWitnessSelf(place);
    if (!self.ok) return self;
    const { signer, memories } = self.value;
    return { ok: true, signer, memory: memories.get(origin) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { ok: false, detail: `${place.folder}: cannot be read (${code ?? 'error'})` };
  }
}

function whyOf(one: Present | undefined): string {
  return one === undefined || one.ok ? 'those to be replaced are not asked' : one.detail;
}

/** Takes the new keys into their places, as the next start would. */
async function finish(
  keys: CustodyKeys,
  folder: string,
  placeOf: (name: WitnessName) => WitnessPlace,
  rollover: Rollover,
): Promise<Outcome<Rollover>> {
  const opened = await openCustodyKeys({ folder });
  if (!opened.ok) return opened;
  for (const name of WITNESS_NAMES) {
    const keyName = witnessKeyName(keys.trustDomain, name);
    const pinned = rollover.policy.witnesses.find((key) => key.name === keyName)?.vkey;
    await readWitness({ ...placeOf(name), pinned }, keys.origin);
  }
  return accept(rollover);
}
