import { Command, InvalidArgumentError, Option } from 'commander';
import { inert } from '#agents/text.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import type { RecordId } from '#custody/record.ts';
import { verifyAncestry } from '#custody/verify.ts';
import { pathOf } from '#identity/spiffe-id.ts';
import { mermaidLines } from '../evidence/mermaid.ts';
import { provJson } from '../evidence/prov.ts';
import { columns, print, printJson, UserError } from '../output.ts';
import { type AncestryView, ancestryJson, ancestryLines, badHop } from '../story/ancestry.ts';
import { type SwarmClient, swarmClient } from '../story/client.ts';
import { ENTRY_KINDS, type EntryKind, entryName, tellEntry } from '../story/entries.ts';
import { findRecord, lastAction } from '../story/find.ts';
import { addAudit } from './custody-audit.ts';
import { addExport } from './custody-export.ts';
import { addRollover } from './custody-rollover.ts';
import { addTamper } from './custody-tamper.ts';
import { addTrust } from './custody-trust.ts';
import { addVerify } from './custody-verify.ts';
import { globals, runningSwarm } from './options.ts';

interface RunOption {
  readonly run?: string;
  readonly json?: boolean;
}
interface ListOptions extends RunOption {
  readonly limit: number;
  readonly kind?: EntryKind;
}
const FORMATS = ['tree', 'json', 'mermaid', 'prov'] as const;
interface ShowOptions extends RunOption {
  readonly full?: boolean;
  readonly format: (typeof FORMATS)[number];
}

const NARROW = 80;
const WIDE = 140;
const SENDER = 3;
const SUBJECT = 4;
const MAX_LIMIT = 100_000;

/** `swarmproof custody list | show`: what the ledger holds, and what led to an action. */
export function custodyCommand(): Command {
  // Before its subcommands are made: they inherit how errors end.
  const custody = new Command('custody')
    .description('read and prove what the ledger holds')
    .exitOverride();
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
    // Ids may begin with a dash.
    .allowUnknownOption()
    .argument('<record>', "start of a record's id, or 'last': the newest action of an agent")
    .addOption(
      new Option('--format <format>', 'mermaid draws it, prov is W3C PROV-JSON')
        .choices(FORMATS)
        .default('tree'),
    )
    .option('--full', 'in a tree: every hop, with what was signed')
    .option('--run <name>', 'which swarm, when several run')
    .option('--json', 'for programs')
    .action(async (record: string, options: ShowOptions, command: Command) => {
      const client = await clientOf(command, options.run);
      await show(client, record, options);
    });
  addExport(custody);
  addVerify(custody);
  addTrust(custody);
  addTamper(custody);
  addAudit(custody);
  addRollover(custody);
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
  const head = ['id', 'time', 'kind', 'sender', 'subject', 'says'];
  for (const line of listLines([head, ...rows])) print(line);
}

/** At 80 columns what a record says comes before who sent it where; a wide terminal shows all. */
function listLines(rows: readonly (readonly string[])[]): string[] {
  const width = Math.max(NARROW, process.stdout.columns ?? NARROW);
  const wide = width >= WIDE;
  const shortened = rows.map((row) =>
    row.map((cell, column) => {
      if (wide || (column !== SENDER && column !== SUBJECT)) return cell;
      return column === SENDER ? tail(cell, 12) : inbox(cell);
    }),
  );
  return columns(shortened).map((line) =>
    line.length > width ? `${line.slice(0, width - 1)}…` : line,
  );
}

function tail(text: string, most: number): string {
  return text.length <= most ? text : `…${text.slice(1 - most)}`;
}

/** `north.reading.sensor-cam-1` → `north.reading`: the last segment only repeats the sender. */
function inbox(subject: string): string {
  const short = subject.split('.').slice(0, -1).join('.') || subject;
  return short.length <= 14 ? short : `${short.slice(0, 13)}…`;
}

function timeOf(entry: LedgerEntry): string {
  return new Date(entry.at).toISOString().slice(11, 19);
}

function senderOf(entry: LedgerEntry): string {
  if (entry.type === 'statement') return 'the launcher';
  return entry.type === 'refusal' ? 'the ledger' : pathOf(entry.record.claims.iss);
}

function subjectOf(entry: LedgerEntry): string {
  if (entry.type === 'statement') return '';
  return inert(entry.type === 'refusal' ? entry.refusal.subject : entry.record.claims.sbj, 200);
}

export function entryJson(entry: LedgerEntry) {
  const base = { index: entry.index, at: new Date(entry.at).toISOString(), type: entry.type };
  if (entry.type === 'refusal') return { ...base, ...tellEntry(entry), refusal: entry.refusal };
  if (entry.type === 'statement') return { ...base, ...tellEntry(entry), note: entry.note };
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
  draw(view, options);
  const bad = badHop(ancestry);
  if (bad !== undefined) throw new UserError(`not proven: ${bad}`);
}

function draw(view: AncestryView, { json, format, full = false }: ShowOptions): void {
  const wanted = json === true ? 'json' : format;
  if (wanted === 'json') printJson(ancestryJson(view));
  else if (wanted === 'prov') printJson(provJson(view));
  else {
    const lines = wanted === 'mermaid' ? mermaidLines(view) : ancestryLines(view, { full });
    for (const line of lines) print(line);
  }
}
