import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { parseTrust, type Trust } from '#custody/evidence/trust.ts';
import { askControl, type ControlAddress } from '#runtime/control/client.ts';
import { type AuditInput, audit } from '../evidence/audit/audit.ts';
import { auditLines } from '../evidence/audit/lines.ts';
import { evidenceClient } from '../evidence/client.ts';
import { chunksOf, EXIT_UNREADABLE, trustOf } from '../evidence/input-file.ts';
import { print, printJson, UserError } from '../output.ts';
import { globals, must, runningSwarm } from './options.ts';

interface AuditOptions {
  readonly ledger?: string;
  readonly trust?: string;
  readonly traces?: string;
  readonly settle: number;
  readonly full?: boolean;
  readonly run?: string;
  readonly json?: boolean;
}

const SETTLE_SECONDS = 15;
const MAX_SETTLE_SECONDS = 3600;
const EXITS = `
Exit codes: 0 clean; 1 something was found; 2 wrong usage, or nothing to read.
What the ledger took in the last seconds (--settle) is not judged: its
acknowledgements, answers and spans are on their way. A swarm that has ended is
audited by --ledger (custody export --all), --trust and --traces.`;

const traceStatus = z.object({
  traces: z.object({
    file: z.string(),
    dropped: z.number(),
    refused: z.number(),
    lost: z.record(z.string(), z.number()),
  }),
});

function seconds(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0 && value <= MAX_SETTLE_SECONDS) return value;
  throw new InvalidArgumentError(`seconds, from 0 to ${MAX_SETTLE_SECONDS}`);
}

/** `swarmproof custody audit`: is the ledger whole, and does it say what the traces say? */
export function addAudit(custody: Command): void {
  custody
    .command('audit')
    .description('join ledger and traces: gaps, orphans, what was not issued, answered or used')
    .option('--settle <seconds>', 'how old what is judged must be', seconds, SETTLE_SECONDS)
    .option('--ledger <file>', 'judge this export instead of a running swarm')
    .option('--trust <file>', 'with --ledger: whom to believe')
    .option('--traces <file>', 'with --ledger: the traces.jsonl of its run')
    .option('--full', 'every finding')
    .option('--run <name>', 'which swarm, when several run')
    .option('--json', 'for programs')
    .addHelpText('after', EXITS)
    .action(async (options: AuditOptions, command: Command) => {
      const report = await readable(async () => {
        const input =
          options.ledger === undefined
            ? await ofSwarm(await runningSwarm(globals(command), options.run))
            : await ofFiles(options.ledger, options);
        return audit({ ...input, settleMs: options.settle * 1000 });
      });
      if (options.json === true) printJson(report);
      else for (const line of auditLines(report, { full: options.full === true })) print(line);
      process.exitCode = report.clean ? 0 : 1;
    });
}

/** That there is nothing to audit is not that something was found. */
async function readable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof UserError ? new UserError(error.message, EXIT_UNREADABLE) : error;
  }
}

async function ofFiles(
  ledger: string,
  { trust, traces }: AuditOptions,
): Promise<Omit<AuditInput, 'settleMs'>> {
  if (trust === undefined) {
    throw new UserError('--ledger needs --trust: by whose keys is it to be judged?');
  }
  return {
    evidence: chunksOf(ledger),
    trust: await trustOf(trust),
    ...(traces !== undefined && { traces: { file: traces, dropped: 0 } }),
  };
}

/** The traces first: what is told of in them is in the ledger by the time that it is read. */
async function ofSwarm(address: ControlAddress): Promise<Omit<AuditInput, 'settleMs'>> {
  const client = evidenceClient(address);
  const status = traceStatus.safeParse(must(await askControl(address, 'status')));
  if (!status.success) throw new UserError('the swarm answered in another form');
  const { file, dropped, refused, lost } = status.data.traces;
  return {
    now: Date.now(),
    evidence: bytesOf(client.whole({ withhold: false })),
    trust: pinned(await client.trust()),
    traces: { file, dropped: dropped + refused + (lost.file ?? 0) },
  };
}

function pinned(text: string): Trust {
  const trust = parseTrust(text);
  if (trust.ok) return trust.value;
  throw new UserError(`the swarm sent no trust file: ${trust.detail}`);
}

async function* bytesOf(lines: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  for await (const line of lines) yield Buffer.from(line, 'utf8');
}
