import type { Command } from 'commander';
import type { EvidencePart } from '#custody/evidence/format.ts';
import { EXIT_CODES } from '#custody/evidence/verdict.ts';
import { verifyChunks } from '#custody/evidence/verify.ts';
import type { EvidenceRecord } from '#custody/verify.ts';
import { chunksOf, trustOf } from '../evidence/input-file.ts';
import { verdictJson } from '../evidence/verdict-json.ts';
import { type Judgement, verdictLines } from '../evidence/verdict-lines.ts';
import { print, printJson } from '../output.ts';

interface VerifyOptions {
  readonly trust?: string;
  readonly full?: boolean;
  readonly json?: boolean;
}

const EXITS = `
Exit codes: 0 proven, every hop genuine or withheld; 1 forged; 3 unverifiable,
something is missing; 4 malformed: no evidence, or cut; 2 wrong usage, or a file
that cannot be read. Needs no network, no swarm and no state.`;
/** What records say is told from so much of them; a longer file is judged all the same. */
const MAX_TOLD_CHARACTERS = 33_554_432;

/** `swarmproof custody verify`: what an evidence file proves to somebody who pinned some keys. */
export function addVerify(custody: Command): void {
  custody
    .command('verify')
    .description('judge an evidence file offline, by the keys that its reader pinned')
    .argument('<file>', "from 'custody export'; - reads what comes in")
    .option('--trust <file>', 'whom to believe; without it nothing can be proven')
    .option('--full', 'every hop and every fault')
    .option('--json', 'for programs')
    .addHelpText('after', EXITS)
    .action(async (file: string, options: VerifyOptions) => {
      const trust = options.trust === undefined ? undefined : await trustOf(options.trust);
      const told = createTold();
      const verdict = await verifyChunks(chunksOf(file), trust, told.add);
      const judgement: Judgement = {
        verdict,
        records: told.records,
        ...(trust !== undefined && { trust: { name: options.trust ?? '', trust } }),
      };
      if (options.json === true) printJson(verdictJson(judgement));
      else {
        for (const line of verdictLines(judgement, { full: options.full === true })) print(line);
      }
      process.exitCode = EXIT_CODES[verdict.overall];
    });
}

/** What the records of an action say: of a whole ledger none is told. */
function createTold() {
  const records: EvidenceRecord[] = [];
  let room = 0;
  return {
    records,
    add(part: EvidencePart): void {
      if (part.kind === 'header') room = part.header.action === undefined ? 0 : MAX_TOLD_CHARACTERS;
      if (part.kind !== 'entry' || !('jws' in part.entry.leaf)) return;
      const { id, leaf, opened } = part.entry;
      room -= leaf.jws.length + (opened?.payload.length ?? 0);
      if (id === undefined || room < 0) return;
      const salt = opened?.salt ?? new Uint8Array();
      const shown = opened === undefined ? {} : { payload: opened.payload };
      records.push({ id, jws: leaf.jws, salt, chain: [], at: leaf.at, ...shown });
    },
  };
}
