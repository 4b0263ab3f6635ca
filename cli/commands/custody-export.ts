import { type Command, InvalidArgumentError, Option } from 'commander';
import { MAX_DOCUMENT_CHARACTERS } from '#custody/evidence/parse.ts';
import { EXIT_CODES } from '#custody/evidence/verdict.ts';
import { type EvidenceClient, evidenceClient } from '../evidence/client.ts';
import { documentOf, tlogProofOf } from '../evidence/document.ts';
import { type OutputFile, openOutput } from '../evidence/output-file.ts';
import { print, UserError } from '../output.ts';
import { swarmClient } from '../story/client.ts';
import { findRecord, lastAction } from '../story/find.ts';
import { globals, runningSwarm } from './options.ts';

interface ExportOptions {
  readonly output: string;
  readonly format: 'evidence' | 'tlog-proof';
  readonly all?: boolean;
  readonly withhold?: boolean;
  readonly force?: boolean;
  readonly wait: number;
  readonly run?: string;
}

const WAIT_SECONDS = 10;
/** Characters. */
const WRITTEN_AT_ONCE = 1_000_000;
const MAX_WAIT_SECONDS = 60;

function seconds(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0 && value <= MAX_WAIT_SECONDS) return value;
  throw new InvalidArgumentError(`seconds, from 0 to ${MAX_WAIT_SECONDS}`);
}

const EXITS = `
Exit codes: 0 written; 1 nothing was written; 3 written, and not all of it is
witnessed yet, so that it is unverifiable; 2 wrong usage.`;

/** `swarmproof custody export`: what convinces somebody who trusts neither the swarm nor the broker. */
export function addExport(custody: Command): void {
  custody
    .command('export')
    .description('write evidence: of an action with all that led to it, or of the whole ledger')
    // Ids may begin with a dash.
    .allowUnknownOption()
    .argument('[action]', "start of a record's id, or 'last': the newest action of an agent")
    .requiredOption('-o, --output <file>', 'where to; - writes it out')
    .addOption(
      new Option('--format <format>', 'tlog-proof: that the ledger has the record, no more')
        .choices(['evidence', 'tlog-proof'])
        .default('evidence'),
    )
    .option('--all', 'every witnessed entry of the ledger, one a line')
    .option('--withhold', 'leave out what the records said: they stay provable')
    .option('--force', 'replace a file that is there')
    .option('--wait <seconds>', 'for witnesses of the action', seconds, WAIT_SECONDS)
    .option('--run <name>', 'which swarm, when several run')
    .addHelpText('after', EXITS)
    .action(async (action: string | undefined, options: ExportOptions, command: Command) => {
      if ((action === undefined) !== (options.all === true)) {
        throw new UserError("name an action, or 'last', or export everything with --all", 2);
      }
      if (action === undefined && options.format === 'tlog-proof') {
        throw new UserError('a tlog-proof is of one record: name it, or leave --all out', 2);
      }
      const address = await runningSwarm(globals(command), options.run);
      const client = evidenceClient(address);
      // Before the swarm is asked: what cannot be written need not be waited for.
      const out = outputOf(options);
      try {
        if (action === undefined) await exportAll(client, options, out);
        else {
          const swarm = swarmClient(address);
          const id =
            action === 'last'
              ? (await lastAction(swarm)).record.id
              : await findRecord(swarm, action);
          await (options.format === 'evidence' ? exportAction : exportProof)(
            client,
            id,
            options,
            out,
          );
        }
      } finally {
        out.abandon();
      }
    });
}

function outputOf({ output, force }: ExportOptions): OutputFile {
  if (output !== '-') return openOutput(output, { force: force === true });
  return { write: (text) => process.stdout.write(text), commit: () => {}, abandon: () => {} };
}

/** Told apart from the evidence, where that is written out. */
const sayOf = ({ output }: ExportOptions) =>
  output === '-' ? (line: string) => process.stderr.write(`${line}\n`) : print;

async function exportAction(
  client: EvidenceClient,
  id: Parameters<EvidenceClient['action']>[0],
  options: ExportOptions,
  out: OutputFile,
): Promise<void> {
  const lines: string[] = [];
  const ask = { withhold: options.withhold === true, waitMs: options.wait * 1000 };
  const { needed, witnessed } = await client.action(id, ask, (line) => lines.push(line));
  const document = documentOf(lines);
  if (document.length <= MAX_DOCUMENT_CHARACTERS) out.write(document);
  else for (const line of lines) out.write(line);
  out.commit();
  const say = sayOf(options);
  const { records, others } = countOf(lines);
  say(`${options.output}: ${id.slice(0, 8)} with ${records} records and ${others} statements`);
  if (witnessed >= needed) {
    say(`verify it anywhere: swarmproof custody verify ${options.output} --trust TRUST`);
    return;
  }
  process.stderr.write(
    `not witnessed yet: ${needed} entries are needed, ${witnessed} are cosigned; export it again\n`,
  );
  process.exitCode = EXIT_CODES.unverifiable;
}

/** For tools that know logs, and nothing of custody. */
async function exportProof(
  client: EvidenceClient,
  id: Parameters<EvidenceClient['action']>[0],
  options: ExportOptions,
  out: OutputFile,
): Promise<void> {
  const lines: string[] = [];
  const ask = { withhold: true, waitMs: options.wait * 1000 };
  await client.action(id, ask, (line) => lines.push(line));
  const proof = tlogProofOf(lines, id);
  if (proof === undefined) {
    throw new UserError(`${id.slice(0, 8)} is not witnessed yet: export it again, or wait longer`);
  }
  out.write(proof);
  out.commit();
  const say = sayOf(options);
  say(`${options.output}: ${id.slice(0, 8)} is in the ledger, as c2sp.org/tlog-proof has it`);
  say("its verifiers need the ledger's and the witnesses' keys: swarmproof custody trust");
}

async function exportAll(
  client: EvidenceClient,
  options: ExportOptions,
  out: OutputFile,
): Promise<void> {
  let size = 0;
  let text = '';
  for await (const line of client.whole({ withhold: options.withhold === true })) {
    text += line;
    if (line.startsWith('{"entry":')) size += 1;
    if (text.length < WRITTEN_AT_ONCE) continue;
    out.write(text);
    text = '';
  }
  out.write(text);
  if (size === 0)
    throw new UserError('nothing is witnessed yet: is a quorum of witnesses running?');
  out.commit();
  sayOf(options)(`${options.output}: ${size} entries, all that is witnessed`);
}

function countOf(lines: readonly string[]): { readonly records: number; readonly others: number } {
  const entries = lines.filter((line) => line.startsWith('{"entry":'));
  const records = entries.filter((line) => line.includes('"id":"')).length;
  return { records, others: entries.length - records };
}
