import { X509Certificate } from 'node:crypto';
import type { SignedDecision } from '#bus/http-message.ts';
import type { RefusalPayload } from '#custody/ack.ts';
import type { LedgerEntry, RecordEntry, RefusalEntry } from '#custody/ledger/entry.ts';
import { isAnswerTo } from '#custody/parents.ts';
import { verifyAncestry } from '#custody/verify.ts';
import { pathOf } from '#identity/spiffe-id.ts';
import type { RuleLocation } from '#policy/compile.ts';
import { UserError } from '../output.ts';
import type { SwarmClient, SwarmTrust } from './client.ts';
import { type CodeMeaning, meaningOf } from './codes.ts';
import { entryName, refusalOf, tellEntry } from './entries.ts';
import { findRecord } from './find.ts';
import { type Failure, failureOf, readAnswer } from './payload.ts';
import { tell } from './tell.ts';

/** A refusal at a door, a gate, the Workload API or the ledger. */
export interface RefusalStory {
  readonly type: 'refusal';
  readonly refusal: RefusalPayload;
  readonly meaning: CodeMeaning | undefined;
  /** Whose door it was; `ledger` for the ledger itself. */
  readonly by: string;
  /** Under which name the ledger holds the refusal. */
  readonly name: string;
  readonly at: Date;
  /** How often this presenter was refused with this code in all. */
  readonly total: number;
  readonly verdict: string;
}

export interface ExplainedRule extends Partial<RuleLocation> {
  readonly check: string;
}

/** What policy decided about one call, as the service that enforced it signed. */
export interface DecisionStory {
  readonly type: 'decision';
  readonly decision: SignedDecision;
  readonly rules: readonly ExplainedRule[];
  /** Who asked, and the serial of the certificate that the call was signed with. */
  readonly subject: string;
  readonly serial: string;
  readonly asked: string;
  readonly askedRecord: string;
  readonly by: string;
  readonly answerRecord: string;
  readonly at: Date;
  /** What failed although policy may have allowed it. */
  readonly failure: (Failure & { readonly meaning: string | undefined }) | undefined;
  /** Verdict on the answer and on the call, judged in this process. */
  readonly verdict: string;
}
export type Explanation = RefusalStory | DecisionStory;

const MAX_ENTRIES = 100_000;

/** Explains the newest refusal or denial, or what a person names. @throws UserError when it cannot. */
export async function explain(client: SwarmClient, given: string): Promise<Explanation> {
  const entry = given === 'last' ? await lastRefusal(client) : await named(client, given);
  const refusal = refusalOf(entry);
  if (refusal !== undefined && (entry.type === 'record' || entry.type === 'refusal')) {
    return refusalStory(client, entry, refusal);
  }
  if (entry.type === 'record') {
    const { knd } = entry.record.claims;
    if (knd === 'tool.result') return decisionStory(client, entry);
    if (knd === 'act' || knd === 'tool.call')
      return decisionStory(client, await answerTo(client, entry));
  }
  const see = 'record' in entry ? `; see 'swarmproof custody show ${entryName(entry)}'` : '';
  throw new UserError(
    `${entryName(entry)} is a ${whatOf(entry)}: nothing was refused, and policy was asked nothing${see}`,
  );
}

function whatOf(entry: LedgerEntry): string {
  if (entry.type === 'equivocation') return 'proof of two records under one number';
  return entry.type === 'statement' ? 'statement of the launcher' : tellEntry(entry).what;
}

async function lastRefusal(client: SwarmClient): Promise<LedgerEntry> {
  const [refusals, denials] = await Promise.all([
    client.newest({ kind: 'refusal', limit: 1 }),
    client.newest({ kind: 'denial', limit: 1 }),
  ]);
  const newest = [...refusals, ...denials].sort((a, b) => a.index - b.index).at(-1);
  if (newest === undefined) {
    throw new UserError("nothing was refused yet; 'swarmproof why RECORD' explains an action");
  }
  return newest;
}

/** By `@index`, by a record's id, by the id of a refused record, or by a decision's id. */
async function named(client: SwarmClient, given: string): Promise<LedgerEntry> {
  const index = /^@([0-9]{1,12})$/.exec(given)?.[1];
  if (index !== undefined) {
    const entry = await client.entry(Number(index));
    if (entry === undefined) throw new UserError(`the ledger has no entry ${given}`);
    return entry;
  }
  const refusals = await client.newest({ kind: 'refusal', limit: MAX_ENTRIES });
  const ofRefused = refusals.findLast(
    (entry) => refusalOf(entry)?.record?.startsWith(given) === true,
  );
  if (ofRefused !== undefined && given.length >= 3) return ofRefused;
  try {
    const id = await findRecord(client, given);
    const entry = await client.record(id);
    if (entry !== undefined) return entry;
  } catch (error) {
    const answers = await client.newest({ kind: 'tool.result', limit: MAX_ENTRIES });
    const decided = answers.find((entry) => decisionIn(entry)?.id === given);
    if (decided === undefined) throw error;
    return decided;
  }
  throw new UserError(`no record starts with ${given}`);
}

function decisionIn(entry: LedgerEntry): SignedDecision | undefined {
  if (entry.type !== 'record' || entry.payload === undefined) return undefined;
  return readAnswer(entry.payload)?.decision;
}

async function answerTo(client: SwarmClient, call: RecordEntry): Promise<RecordEntry> {
  const { id, claims } = call.record;
  const answers = (await client.children(id)).filter(
    (entry): entry is RecordEntry =>
      // A result may rest on several records; the answer is for who asked, by who was asked.
      entry.type === 'record' && isAnswerTo(claims, entry.record.claims),
  );
  const answer = answers.find((entry) => decisionIn(entry) !== undefined) ?? answers[0];
  if (answer === undefined) {
    throw new UserError(
      `${id.slice(0, 8)} has no answer in the ledger: nothing was decided, or not yet`,
    );
  }
  return answer;
}

async function refusalStory(
  client: SwarmClient,
  entry: RecordEntry | RefusalEntry,
  refusal: RefusalPayload,
): Promise<RefusalStory> {
  const all = await client.newest({ kind: 'refusal', limit: MAX_ENTRIES });
  const same = all.flatMap((one) => {
    const other = refusalOf(one);
    const alike = other?.code === refusal.code && other.presented_by === refusal.presented_by;
    return alike ? [other.count] : [];
  });
  return {
    type: 'refusal',
    refusal,
    meaning: meaningOf(refusal.code),
    by: entry.type === 'refusal' ? 'ledger' : entry.record.claims.iss,
    name: entryName(entry, 43),
    at: new Date(entry.at),
    total: same.reduce((sum, count) => sum + count, 0),
    verdict: entry.type === 'refusal' ? 'told by the ledger' : await verdictOf(client, entry),
  };
}

async function verdictOf(client: SwarmClient, entry: RecordEntry): Promise<string> {
  return judged(await client.ancestry(entry.record.id), await client.trust(), [entry.record.id]);
}

/** `genuine`, or what the first of these records is instead. */
function judged(
  records: Awaited<ReturnType<SwarmClient['ancestry']>>,
  trust: SwarmTrust,
  ids: readonly string[],
): string {
  const { bundles, members } = trust;
  const hops = verifyAncestry(records, { bundles, members })?.hops ?? [];
  for (const id of ids) {
    const hop = hops.find((one) => one.id === id);
    if (hop === undefined) return 'unverifiable: the record is missing';
    if (hop.verdict !== 'genuine')
      return `${hop.verdict}: ${hop.reason ?? 'its payload is withheld'}`;
  }
  return 'genuine';
}

async function decisionStory(client: SwarmClient, answer: RecordEntry): Promise<DecisionStory> {
  const { claims, id } = answer.record;
  const response = answer.payload && readAnswer(answer.payload);
  const failure = response && failureOf(response);
  const decision = response?.decision;
  if (decision === undefined) {
    const said =
      failure === undefined ? '' : ` (${failure.code}: ${meaningOf(failure.code)?.meaning ?? ''})`;
    throw new UserError(`${id.slice(0, 8)} carries no decision: policy was not asked${said}`);
  }
  const records = await client.ancestry(id);
  const trust = await client.trust();
  const asked = await callOf(client, answer);
  const call = asked.record;
  const leaf = records.find((record) => record.id === call.id)?.chain[0];
  return {
    type: 'decision',
    decision,
    rules: decision.reasons.map((check) => ({
      check,
      ...(Object.hasOwn(trust.rules, check) && trust.rules[check]),
    })),
    subject: call.claims.iss,
    serial: leaf === undefined ? 'unknown' : serialOf(leaf),
    asked: tell(call.claims, asked.payload).text,
    askedRecord: call.id,
    by: claims.iss,
    answerRecord: id,
    at: new Date(answer.at),
    failure: failure && { ...failure, meaning: meaningOf(failure.code)?.meaning },
    verdict: judged(records, trust, [id, call.id]),
  };
}

/** The call that an answer is for: the cause whose sender it is for and that was addressed to its own. */
async function callOf(client: SwarmClient, answer: RecordEntry): Promise<RecordEntry> {
  const { claims, id } = answer.record;
  for (const cause of claims.par) {
    const entry = await client.record(cause);
    if (entry?.type === 'record' && isAnswerTo(entry.record.claims, claims)) return entry;
  }
  throw new UserError(
    `${id.slice(0, 8)} answers no call that the ledger holds and that was addressed to ${pathOf(claims.iss)}`,
  );
}

function serialOf(leaf: Uint8Array): string {
  try {
    return new X509Certificate(leaf).serialNumber.toLowerCase();
  } catch {
    return 'unreadable';
  }
}
