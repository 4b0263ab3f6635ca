import { inert } from '#agents/text.ts';
import type { LedgerEntry, RecordEntry } from '#custody/ledger/entry.ts';
import { isAnswerTo } from '#custody/parents.ts';
import type { RecordId } from '#custody/record.ts';
import { UserError } from '../output.ts';
import type { SwarmClient } from './client.ts';
import { isAgentAct } from './entries.ts';
import { failureOf, readAnswer } from './payload.ts';

/** The least of an id that is looked for: fewer characters name half of the ledger. */
const MIN_PREFIX = 3;
const MAX_SHOWN = 4;
const ID = /^[A-Za-z0-9_-]{1,43}$/;

/** The one record whose id starts so. @throws UserError when there is none, or more than one. */
export async function findRecord(client: SwarmClient, prefix: string): Promise<RecordId> {
  const unknown = new UserError(`unknown option '${inert(prefix, 60)}'`);
  if (!ID.test(prefix) && prefix.startsWith('--')) throw unknown;
  if (!ID.test(prefix)) {
    throw new UserError(`'${inert(prefix, 60)}' is no record id: base64url, at most 43 characters`);
  }
  if (prefix.length < MIN_PREFIX) {
    throw new UserError(
      `'${prefix}' is too short: give at least ${MIN_PREFIX} characters of the id`,
    );
  }
  const ids = await client.find(prefix);
  const [only] = ids;
  // One id in some thousands begins with two dashes: what is none of them is a mistyped option.
  if (only === undefined && prefix.startsWith('--')) throw unknown;
  if (only === undefined) {
    throw new UserError(`no record starts with ${prefix}; see 'swarmproof custody list'`);
  }
  if (ids.length === 1) return only;
  const shown = ids.slice(0, MAX_SHOWN).map((id) => id.slice(0, prefix.length + 4));
  const more = ids.length > MAX_SHOWN ? ', …' : '';
  throw new UserError(`${prefix} is ambiguous: ${shown.join(', ')}${more}; give more of it`);
}

/** The newest order of an agent that was carried out. @throws UserError when there is none. */
export async function lastAction(client: SwarmClient): Promise<RecordEntry> {
  const acts = (await client.newest({ kind: 'act', limit: 1000 })).filter(isAgentAct);
  for (const act of acts.toReversed()) {
    const answers = await client.children(act.record.id);
    if (answers.some((answer) => isDone(act, answer))) return act;
  }
  const refused = acts.at(-1);
  throw new UserError(
    refused === undefined
      ? 'no action yet: no agent has ordered anything'
      : `no action yet: the newest order was not carried out, see 'swarmproof why ${refused.record.id.slice(0, 8)}'`,
  );
}

function isDone(act: RecordEntry, entry: LedgerEntry): boolean {
  if (entry.type !== 'record' || !isAnswerTo(act.record.claims, entry.record.claims)) return false;
  const answer = entry.payload && readAnswer(entry.payload);
  return answer !== undefined && failureOf(answer) === undefined;
}
