import { Command, InvalidArgumentError, Option } from 'commander';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import type { RecordId } from '#custody/record.ts';
import { verifyAncestry } from '#custody/verify.ts';
import { pathOf } from '#identity/spiffe-id.ts';
import { columns, print, printJson, UserError } from '../output.ts';
import { ancestryJson, ancestryLines, badHop } from '../story/ancestry.ts';
import { type SwarmClient, swarmClient } from '../story/client.ts';
import { ENTRY_KINDS, type EntryKind, entryName, tellEntry } from '../story/entries.ts';
import { findRecord, lastAction } from '../story/find.ts';
import { globals, runningSwarm } from './options.ts';

interface RunOption {
  readonly run?: string;
  readonly json?: boolean;
}
interface ListOptions extends RunOption {
  readonly limit: number;
  readonly kind?: EntryKind;
}
interface ShowOptions extends RunOption {
  readonly full?: boolean;
}

const WIDTH = 80;
const MAX_LIMIT = 100_000;

/** `swarmproof custody list | show`: what the ledger holds, and what led to an action. */
export function custodyCommand(): Command {
  const custody = new Command('custody').description('read and prove what the ledger holds');
  custody
    .command('list')
    .description('the newest records, the newest last')
    .option('--limit <n>', 'how many', positive, 20)
    .addOption(new Option('--kind <kind>', 'only these').choices(ENTRY_KINDS))
    .option('--run <name>', 'which swarm, when several run')
    .option('--json', 'for programs')
    .action(async (options: ListOptions, command: Command) => {
      const client = await clientOf(command, options.run);
      list(await client.newest(options), options);
    });
  custody
    .command('show')
    .description('who did it, because of whom: an action and all that led to it, each hop judged')
    .argument('<record>', "start of a record's id, or 'last': the newest action of an agent")
    .option('--full', 'every hop, with what was signed')
    .option('--run <name>', 'which swarm, when several run')
    .option('--json', 'for programs')
    .action(async (record: string, options: ShowOptions, command: Command) => {
      const client = await clientOf(command, options.run);
      await show(client, record, options);
    });
  return custody;
}

export async function clientOf(command: Command, run: string | undefined): Promise<SwarmClient> {
  return swarmClient(await runningSwarm(globals(command), run));
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1 || value > MAX_LIMIT) {
    throw new InvalidArgumentError(`a number from 1 to ${MAX_LIMIT}`);
  }
  return value;
}

function list(entries: readonly LedgerEntry[], { json, kind }: ListOptions): void {
  if (json === true) {
    printJson(entries.map(entryJson));
    return;
  }
  if (entries.length === 0) {
    throw new UserError(
      kind === undefined ? 'the ledger is empty' : `the ledger holds nothing of kind ${kind} yet`,
    );
  }
  const rows = entries.map((entry) => {
    const { what, text } = tellEntry(entry);
    return [entryName(entry), timeOf(entry), what, senderOf(entry), subjectOf(entry), text];
  });
  const [head = ['', '', '', '', '', ''], ...cut] = [
    ['id', 'time', 'kind', 'sender', 'subject', 'says'],
    ...rows,
  ];
  for (const line of listLines([head, ...cut])) print(line);
}

/** Subjects give way first, then senders: what a record says is why one reads the list. */
function listLines(rows: readonly (readonly string[])[]): string[] {
  const shortened = rows.map(
    ([id = '', time = '', kind = '', sender = '', subject = '', says = '']) => [
      id,
      time,
      kind,
      middle(sender, 16),
      middle(subject, 14),
      says,
    ],
  );
  return columns(shortened).map((line) =>
    line.length > WIDTH ? `${line.slice(0, WIDTH - 1)}…` : line,
  );
}

function middle(text: string, most: number): string {
  if (text.length <= most) return text;
  const end = Math.ceil((most - 1) / 2);
  return `${text.slice(0, most - 1 - end)}…${text.slice(-end)}`;
}

function timeOf(entry: LedgerEntry): string {
  return new Date(entry.at).toISOString().slice(11, 19);
}

function senderOf(entry: LedgerEntry): string {
  return entry.type === 'refusal' ? 'the ledger' : pathOf(entry.record.claims.iss);
}

function subjectOf(entry: LedgerEntry): string {
  return entry.type === 'refusal' ? entry.refusal.subject : entry.record.claims.sbj;
}

export function entryJson(entry: LedgerEntry) {
  const base = { index: entry.index, at: new Date(entry.at).toISOString(), type: entry.type };
  if (entry.type === 'refusal') return { ...base, ...tellEntry(entry), refusal: entry.refusal };
  const { id, claims, jws } = entry.record;
  const payload = entry.payload && Buffer.from(entry.payload).toString('base64');
  return { ...base, id, ...tellEntry(entry), by: claims.iss, claims, jws, payload };
}

async function show(client: SwarmClient, given: string, options: ShowOptions): Promise<void> {
  const id: RecordId =
    given === 'last' ? (await lastAction(client)).record.id : await findRecord(client, given);
  const records = await client.ancestry(id);
  // Judged in this process, from the evidence alone; what the swarm thinks of it is not asked.
  const { bundles, members } = await client.trust();
  const ancestry = verifyAncestry(records, { bundles, members, root: id });
  if (ancestry === undefined) throw new UserError(`the swarm gave no evidence for ${id}`);
  const view = { ancestry, records };
  if (options.json === true) printJson(ancestryJson(view));
  else for (const line of ancestryLines(view, { full: options.full === true })) print(line);
  const bad = badHop(ancestry);
  if (bad !== undefined) throw new UserError(`not proven: ${bad}`);
}
