import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { tamper } from '#custody/evidence/tamper.ts';
import { parseTrust } from '#custody/evidence/trust.ts';
import { EXIT_CODES } from '#custody/evidence/verdict.ts';
import type { RecordId } from '#custody/record.ts';
import { parseSpiffeId, pathOf } from '#identity/spiffe-id.ts';
import { documentOf } from '../evidence/document.ts';
import { paint } from '../output.ts';
import { CHECKOUT } from '../wiring/checkout.ts';
import { evidenceVerbs } from '../wiring/evidence-control.ts';
import type { RunningSwarm } from '../wiring/swarm.ts';
import { notObserved, type Observed, observed } from './claims.ts';
import type { Screen } from './screen.ts';

const [EVIDENCE, TRUST, ALTERED] = ['evidence.json', 'trust.json', 'altered.json'] as const;
/** In the folder of the run, for whoever wants to verify them again. */
export const EVIDENCE_FILES = [EVIDENCE, TRUST] as const;

const WAIT_MS = 30_000;

/** What `custody verify --json` tells, as far as it is told on. */
const verdictSchema = z.object({
  overall: z.enum(['proven', 'forged', 'unverifiable', 'malformed']),
  exitCode: z.int(),
  counts: z.object({ genuine: z.int() }),
  beside: z.object({ statement: z.int() }),
  firstBad: z.string().optional(),
  hops: z.array(
    z.object({
      id: z.string(),
      by: z.string().optional(),
      what: z.string().optional(),
      code: z.string().optional(),
    }),
  ),
});
type Verdict = z.infer<typeof verdictSchema>;

/**
 * Exports the action as evidence once it is witnessed, and shows what somebody makes of it who has
 * the file and the pinned keys and nothing else: as it is, and after one bit of it was changed.
 */
export async function tellEvidence(
  running: RunningSwarm,
  action: RecordId,
  screen: Screen,
  seen: Observed,
  signal: AbortSignal,
): Promise<void> {
  const { path } = running.run;
  const { text, witnesses } = await observed('evidence', exported(running, action, signal), signal);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const altered = tamper(text, 'edit', privateKey);
  if (!altered.ok) throw notObserved('evidence', altered.detail);
  await writeFile(join(path, EVIDENCE), text);
  await writeFile(join(path, ALTERED), altered.value);
  const [asIs, changed] = await observed(
    'evidence',
    Promise.all([verify(path, EVIDENCE, signal), verify(path, ALTERED, signal)]),
    signal,
  );
  const bad = changed.hops.find(({ id }) => id === changed.firstBad);
  screen.say();
  screen.say('Evidence of it, judged by another process from two files, offline');
  tellVerdict(screen, 'as exported', asIs, [
    `${asIs.counts.genuine} records`,
    `${asIs.beside.statement} statements`,
    witnesses,
  ]);
  const by = parseSpiffeId(bad?.by ?? '');
  const who = by.ok ? ` of ${pathOf(by.value)}` : '';
  tellVerdict(screen, 'one bit changed', changed, [`${bad?.what ?? 'no record named'}${who}`]);
  if (asIs.overall !== 'proven') throw notObserved('evidence', `${asIs.overall} as exported`);
  if (changed.overall !== 'forged' || bad === undefined) {
    throw notObserved('evidence', `${changed.overall} with a changed bit`);
  }
  seen.evidence = `${asIs.counts.genuine} records proven, ${witnesses}; changed: ${bad.code}`;
}

function tellVerdict(screen: Screen, what: string, { overall }: Verdict, facts: readonly string[]) {
  const colour = overall === 'proven' ? 'green' : 'red';
  const verdict = paint(colour, overall.toUpperCase());
  screen.say(`  ${what.padEnd(16)} ${verdict}  ${facts.join(', ')}`);
}

/** The document, and how many witnesses must have cosigned the ledger by the pins beside it. */
async function exported(running: RunningSwarm, id: RecordId, signal: AbortSignal) {
  const verbs = evidenceVerbs(running.evidence);
  const lines: string[] = [];
  const take = (line: unknown): void => void lines.push(String(line));
  const found = await verbs['evidence-action']({ id, waitMs: WAIT_MS }, take, signal);
  if (!found.ok) throw notObserved('evidence', found.detail);
  const { needed, witnessed } = found.value;
  if (witnessed < needed) throw notObserved('evidence', 'too few witnesses cosigned in time');
  const pins = await verbs.pins();
  const trust = parseTrust(pins.value.trust);
  if (!trust.ok) throw notObserved('evidence', trust.detail);
  await writeFile(join(running.run.path, TRUST), pins.value.trust);
  const { quorum, witnesses } = trust.value.log;
  return { text: documentOf(lines), witnesses: `${quorum} of ${witnesses.length} witnesses` };
}

/** The real command in a process without environment, in the folder of its two files. */
function verify(folder: string, file: string, signal: AbortSignal): Promise<Verdict> {
  const { promise, resolve, reject } = Promise.withResolvers<Verdict>();
  const command = ['custody', 'verify', file, '--trust', TRUST, '--json'];
  const args = ['--disable-warning=ExperimentalWarning', join(CHECKOUT, 'cli/main.ts'), ...command];
  const options = { cwd: folder, env: {}, signal, maxBuffer: 64 * 1024 * 1024 };
  const child = execFile(process.execPath, args, options, (_error, out, err) => {
    try {
      const verdict = verdictSchema.parse(JSON.parse(out));
      const expected = EXIT_CODES[verdict.overall];
      if (child.exitCode === expected) resolve(verdict);
      else reject(notObserved('evidence', `${verdict.overall}, yet exit code ${child.exitCode}`));
    } catch {
      reject(notObserved('evidence', err.trim().split('\n')[0] ?? 'no verdict'));
    }
  });
  return promise;
}
