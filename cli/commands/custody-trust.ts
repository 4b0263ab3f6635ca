import type { Command } from 'commander';
import { parseTrust, type Trust } from '#custody/evidence/trust.ts';
import { evidenceClient } from '../evidence/client.ts';
import { openOutput } from '../evidence/output-file.ts';
import { trustLines } from '../evidence/trust-lines.ts';
import { print, UserError } from '../output.ts';
import { globals, runningSwarm } from './options.ts';

interface TrustOptions {
  readonly output?: string;
  readonly force?: boolean;
  readonly run?: string;
  readonly json?: boolean;
}

/** `swarmproof custody trust`: whom a reader of this swarm's evidence has to believe. */
export function addTrust(custody: Command): void {
  custody
    .command('trust')
    .description(
      'what readers of evidence have to pin: roots, keys of ledger and witnesses, members',
    )
    .option('-o, --output <file>', "write the trust file for 'custody verify'")
    .option('--force', 'replace a file that is there')
    .option('--run <name>', 'which swarm, when several run')
    .option('--json', 'the trust file itself, written out')
    .action(async (options: TrustOptions, command: Command) => {
      const { output, force = false, json = false } = options;
      const text = await evidenceClient(await runningSwarm(globals(command), options.run)).trust();
      const trust = parseTrust(text);
      if (!trust.ok) throw new UserError(`the swarm sent no trust file: ${trust.detail}`);
      if (json) {
        process.stdout.write(text);
        return;
      }
      for (const line of trustLines(trust.value)) print(line);
      if (output !== undefined) write(output, text, force);
      warn(trust.value, output);
    });
}

function write(output: string, text: string, force: boolean): void {
  const out = openOutput(output, { force });
  try {
    out.write(text);
    out.commit();
  } finally {
    out.abandon();
  }
}

function warn({ log }: Trust, output: string | undefined): void {
  print();
  print(output === undefined ? 'Write it down with -o FILE.' : `Written to ${output}.`);
  print('It must reach whoever verifies by another way than the evidence: who could change');
  print(
    `both could make both up. One person who runs the log and all ${log.witnesses.length} witnesses can, too.`,
  );
}
