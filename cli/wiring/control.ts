import { z } from 'zod';
import { encodeEntry, type LedgerEntry } from '#custody/ledger/entry.ts';
import type { LedgerQueries } from '#custody/ledger/queries.ts';
import type { RecordId } from '#custody/record.ts';
import { accept } from '#identity/outcome.ts';
import { traceLink } from '#observability/links.ts';
import { type ControlServer, serveControl } from '#runtime/control/server.ts';
import { ENTRY_KINDS, isAgentAct, isDenial, isKind } from '../story/entries.ts';
import { evidenceVerbs, type ServedEvidence } from './evidence-control.ts';
import { evidenceJson } from './evidence-json.ts';
import { identityVerbs } from './identity-control.ts';
import { type RunningSwarm, SwarmRefused } from './swarm.ts';

const listArgs = z.object({
  since: z.int().nonnegative().default(0),
  limit: z.int().min(1).max(100_000).default(1000),
  kind: z.enum(ENTRY_KINDS).optional(),
  /** The last ones that fit instead of the first, in the same order. */
  newest: z.boolean().default(false),
});
/** Spans reach the supervisor a little after the message that they are about. */
const SPAN_MS = 2000;
const idArgs = z.object({ id: z.string().max(64) });
const ancestryArgs = idArgs.extend({ limit: z.int().min(1).max(10_000).default(10_000) });

const agentArgs = z.object({ agent: z.string().min(1).max(128) });
const path = z.string().min(1).max(4096);
const rolloutArgs = agentArgs.extend({
  imageFolder: path.optional(),
  input: z.strictObject({ path, follow: z.boolean().default(false) }).optional(),
  /** As long as the caller stays: whatever ends it, the agent goes back to what it ran. */
  lease: z.boolean().default(false),
});

/** Resolves when the caller has gone. */
async function gone(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
}

/** One entry as it is stored. */
const textOf = (entry: LedgerEntry): string => Buffer.from(encodeEntry(entry)).toString('utf8');

/** What of a running swarm the commands are served from. */
export interface ServedSwarm
  extends Pick<
    RunningSwarm,
    | 'status'
    | 'trust'
    | 'rules'
    | 'traces'
    | 'observe'
    | 'replaceAgent'
    | 'rollbackAgent'
    | 'onRefusal'
  > {
  /** Absent where there is no issuer to ask. */
  readonly administer?: RunningSwarm['administer'];
  readonly isolation?: RunningSwarm['isolation'];
  readonly alarms?: Pick<RunningSwarm['alarms'], 'list'>;
  /** Absent where there is no witnessed ledger. */
  readonly evidence?: ServedEvidence;
  readonly witnessed?: RunningSwarm['witnessed'];
  readonly ledger: LedgerQueries & Pick<RunningSwarm['ledger'], 'onEntry'>;
  readonly run: Pick<RunningSwarm['run'], 'controlSocket' | 'token'>;
  readonly swarm: Pick<RunningSwarm['swarm'], 'name' | 'members' | 'agents'>;
}

/** Serves a running swarm's status, ledger and stop to commands in other terminals. */
export async function serveSwarm(
  running: ServedSwarm,
  requestStop: () => void,
  /** Base URL of the UI that shows the swarm's traces, where there is one. */
  jaeger?: string,
): Promise<ControlServer> {
  const { ledger, run } = running;
  const served = await serveControl(run.controlSocket, run.token, {
    status: async () =>
      accept({
        ...running.status(),
        name: running.swarm.name,
        isolation: running.isolation,
        counts: countsOf(ledger),
        ...(running.alarms !== undefined && { alarms: running.alarms.list() }),
        ...(running.witnessed !== undefined && { witnessed: running.witnessed() }),
        traces: {
          file: running.traces.file,
          ...running.traces.counts(),
          ...(jaeger !== undefined && { jaeger }),
        },
      }),
    stop: async () => {
      requestStop();
      return accept({});
    },
    list: async (args, part) => {
      for (const entry of selected(ledger, listArgs.parse(args))) part(textOf(entry));
      return accept({ size: ledger.size() });
    },
    find: async (args) =>
      accept({ ids: ledger.find(idArgs.parse(args).id).map(({ record }) => record.id) }),
    record: async (args, part) => {
      const entry = ledger.get(idArgs.parse(args).id as RecordId);
      if (entry !== undefined) part(textOf(entry));
      return accept({});
    },
    children: async (args, part) => {
      for (const entry of ledger.children(idArgs.parse(args).id as RecordId)) part(textOf(entry));
      return accept({});
    },
    ancestry: async (args, part) => {
      const { id, limit } = ancestryArgs.parse(args);
      for (const one of ledger.ancestry(id as RecordId, limit)) part(evidenceJson(one));
      return accept({});
    },
    replace: async (args, part, signal) => {
      const { agent, imageFolder, input, lease } = rolloutArgs.parse(args);
      const replaced = await running.replaceAgent(agent, {
        ...(imageFolder !== undefined && { imageFolder }),
        ...(input !== undefined && { input: { path: input.path, follow: input.follow } }),
      });
      if (!replaced.ok || !lease) return replaced;
      part(replaced.value);
      await gone(signal);
      return running.rollbackAgent(agent);
    },
    /** The span in which a record was refused; nothing when none has come in time. */
    span: async (args) => {
      const options = { timeoutMs: SPAN_MS, fits: ({ error }: { error: boolean }) => error };
      const span = await running.traces.wait(idArgs.parse(args).id, options);
      if (span === undefined) return accept({});
      const link = jaeger === undefined ? {} : { link: traceLink(jaeger, span) };
      return accept({ trace: span.traceId, span: span.spanId, ...link });
    },
    rollback: async (args) => running.rollbackAgent(agentArgs.parse(args).agent),
    follow: async (_args, part, signal) => {
      const stops = [
        ledger.onEntry((entry) => part({ entry: textOf(entry) })),
        running.onRefusal((refused) => part({ refused })),
      ];
      part({ size: ledger.size() });
      await gone(signal);
      for (const stop of stops) stop();
      return accept({});
    },
    trust: async () =>
      accept({
        members: running.swarm.members.map(({ id }) => id),
        agents: running.swarm.agents.map(({ member, config }) => ({
          ...member,
          sensor: 'source' in Object(config),
        })),
        bundles: Object.fromEntries(
          [...running.trust()].map(([domain, { authorities }]) => [
            domain,
            authorities.map(({ raw }) => raw.toString('base64')),
          ]),
        ),
        rules: running.rules(),
        observe: running.observe,
      }),
    ...(running.administer !== undefined && identityVerbs(running.administer)),
    ...(running.evidence !== undefined && evidenceVerbs(running.evidence)),
  });
  if (!served.ok) throw new SwarmRefused(served.detail);
  return served.value;
}

function selected(
  ledger: LedgerQueries,
  { since, limit, kind, newest }: z.infer<typeof listArgs>,
): readonly LedgerEntry[] {
  const all = ledger.list({ since, limit: Number.POSITIVE_INFINITY });
  const fitting = kind === undefined ? all : all.filter((entry) => isKind(entry, kind));
  return newest ? fitting.slice(-limit) : fitting.slice(0, limit);
}

/** The ledger's own counts, and those that need a look into payloads. */
function countsOf(ledger: LedgerQueries) {
  const all = ledger.list({ limit: Number.POSITIVE_INFINITY });
  return {
    ...ledger.counts(),
    agentActs: all.filter(isAgentAct).length,
    denials: all.filter(isDenial).length,
  };
}
