import { generateKeyPairSync } from 'node:crypto';
import { type Command, Option } from 'commander';
import { TAMPERINGS, type Tampering, tamper } from '#custody/evidence/tamper.ts';
import { textOf } from '../evidence/input-file.ts';
import { openOutput } from '../evidence/output-file.ts';
import { print, UserError } from '../output.ts';

interface TamperOptions {
  readonly how: Tampering;
  readonly output: string;
  readonly force?: boolean;
}

const MAX_BYTES = 67_108_864;
const HELP = `
How:
${Object.entries(TAMPERINGS)
  .map(([how, what]) => `  ${how.padEnd(10)} ${what}`)
  .join('\n')}

It has the file and no key of the swarm: what anybody could do who passes it on.`;

/** `swarmproof custody tamper`: an evidence file as a forger would pass it on, to see it caught. */
export function addTamper(custody: Command): void {
  custody
    .command('tamper')
    .description('alter an evidence file as a forger would, to see that it is caught')
    .argument('<file>', "from 'custody export'; - reads what comes in")
    .addOption(
      new Option('--how <what>', 'what is done to it')
        .choices(Object.keys(TAMPERINGS))
        .makeOptionMandatory(),
    )
    .requiredOption('-o, --output <file>', 'where to; the file itself stays as it is')
    .option('--force', 'replace a file that is there')
    .addHelpText('after', HELP)
    .action(async (file: string, { how, output, force = false }: TamperOptions) => {
      const text = await textOf(file, MAX_BYTES);
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const tampered = tamper(text, how, privateKey);
      if (!tampered.ok) throw new UserError(`${file}: ${tampered.code}: ${tampered.detail}`);
      const out = openOutput(output, { force });
      try {
        out.write(tampered.value);
        out.commit();
      } finally {
        out.abandon();
      }
      print(`${output}: ${how} ${TAMPERINGS[how]}`);
      print(`see: swarmproof custody verify ${output} --trust TRUST`);
    });
}
