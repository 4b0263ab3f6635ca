import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { z } from 'zod';
import { askControl } from '#runtime/control/client.ts';
import { print, printJson, UserError } from '../output.ts';
import { statusLines } from '../story/status-lines.ts';
import { globals, must, runningSwarm } from './options.ts';

const processStatus = z.object({
  name: z.string(),
  state: z.string(),
  pid: z.number().optional(),
  spiffeId: z.string().optional(),
  restarts: z.number(),
  serial: z.string().optional(),
  notAfter: z.string().optional(),
  pssKiB: z.number().optional(),
  detail: z.string().optional(),
});
const isolation = z.object({
  kind: z.enum(['uid-per-process', 'one-uid']),
  why: z.string().optional(),
});
const alarm = z.object({
  code: z.string(),
  by: z.string(),
  about: z.string(),
  detail: z.string(),
  since: z.string(),
  until: z.string().optional(),
  times: z.number(),
});
const statusAnswer = z.object({
  isolation: isolation.optional(),
  name: z.string(),
  state: z.string(),
  at: z.string(),
  processes: z.array(processStatus),
  pssKiB: z.number().optional(),
  counts: z.object({
    subjects: z.record(z.string(), z.number()),
    acknowledged: z.number(),
    refusals: z.number(),
    agentActs: z.number(),
    denials: z.number(),
  }),
  witnessed: z
    .object({
      quorum: z.number(),
      newest: z.object({ size: z.number(), time: z.number() }).optional(),
    })
    .optional(),
  alarms: z.array(alarm).default([]),
  traces: z.object({
    file: z.string(),
    taken: z.number(),
    written: z.number(),
    dropped: z.number(),
    refused: z.number(),
    lost: z.record(z.string(), z.number()),
    jaeger: z.string().optional(),
  }),
});

/** `swarmproof status`: every process with its identity, and what the ledger holds. */
export function statusCommand(): Command {
  return new Command('status')
    .description('show the processes of a running swarm, and what its ledger holds')
    .option('--run <name>', 'which swarm, when several run')
    .option('--json', 'for programs')
    .action(async (options: { run?: string; json?: boolean }, command: Command) => {
      const address = await runningSwarm(globals(command), options.run);
      const parsed = statusAnswer.safeParse(must(await askControl(address, 'status')));
      if (!parsed.success) {
        throw new UserError(
          'the swarm answered in another form: was it started by another version?',
        );
      }
      const { counts, processes, ...rest } = parsed.data;
      const view = {
        ...rest,
        processes: processes.map((one) => ({ ...one, uid: uidOf(one.pid) })),
        counts: {
          readings: counts.subjects.reading ?? 0,
          acknowledged: counts.acknowledged,
          findings: counts.subjects.finding ?? 0,
          acts: counts.agentActs,
          refusals: counts.refusals,
          denials: counts.denials,
        },
        now: new Date(),
      };
      if (options.json === true) printJson(view);
      else for (const line of statusLines(view)) print(line);
    });
}

/** The real uid of a process as the kernel tells it; `undefined` where there is no procfs. */
function uidOf(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  try {
    const uid = /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return uid === undefined ? undefined : Number(uid);
  } catch {
    return undefined;
  }
}
